-- List schedules by id. ARGV: the id before the first one ('' for the beginning), limit. Returns the id at which
-- the next page begins to look ('' if there is none), and what `schedule_row` returns for each.

local from = ARGV[1] == '' and '-' or '(' .. ARGV[1]
local limit = tonumber(ARGV[2])
local ids = call('ZRANGEBYLEX', AN, from, '+', 'LIMIT', 0, limit + 1)
local rows, bytes = {}, 0
for number, id in ipairs(ids) do
    if number > limit or bytes > MOST_BYTES then return {ids[number - 1], rows} end
    local row = schedule_row(id)
    if row then
        rows[#rows + 1] = row
        bytes = bytes + #row[1] + #row[2]
    end
end
return {'', rows}
