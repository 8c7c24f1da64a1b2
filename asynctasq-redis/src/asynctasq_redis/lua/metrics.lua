-- Return counts. ARGV: `tm` or `th`, the first and the last start in minutes, and a number of fields that is
-- enough. Answers with 1 if there is more, else 0; then with each start and the fields and values of its hash.

-- Return whether an hour has the counts of a minute, which a step that failed half-way has not deleted.
local function is_added(start)
    local hour = tonumber(start) - tonumber(start) % 60
    return call('HGET', P .. 'th:' .. whole(hour), '\255\255adding') == start
end

local kind, enough = ARGV[1], tonumber(ARGV[4])
local starts = call('ZRANGEBYSCORE', P .. kind .. 'i', ARGV[2], ARGV[3], 'LIMIT', 0, 61)
local answer, fields = {0}, 0
for number, start in ipairs(starts) do
    if fields >= enough or number > 60 then
        answer[1] = 1
        break
    end
    local rows = kind == 'tm' and is_added(start) and {} or call('HGETALL', P .. kind .. ':' .. start)
    fields = fields + #rows / 2
    answer[#answer + 1] = start
    answer[#answer + 1] = rows
end
return answer
