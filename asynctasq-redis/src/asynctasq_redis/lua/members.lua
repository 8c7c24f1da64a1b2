-- A piece of the ids in one state of a queue, found by ZSCAN: whatever is there all the while is met,
-- some of it twice. ARGV: clock offset, queue, sets ('r:', 's' or 'd:'), which of them ('all'; of those
-- in 's' 'due' or 'later'), position, about how many. Answers with the next position (0 at the end) and
-- with ids. A position is one in a set, and behind it as a digit which of the sets that is.

local now = clock(tonumber(ARGV[1]))
local queue, which = ARGV[2], ARGV[4]
local sets = ARGV[3] == 's' and scheduled_sets(queue) or {P .. ARGV[3] .. queue}
local number = tonumber(sub(ARGV[5], -1)) + 1
local place = #ARGV[5] > 1 and sub(ARGV[5], 1, -2) or '0'
local ids = {}

while sets[number] and #ids == 0 do
    local found
    place, found = unpack(call('ZSCAN', sets[number], place, 'COUNT', ARGV[6]))
    for i = 1, #found, 2 do
        if which == 'all' or (tonumber(found[i + 1]) <= now) == (which == 'due') then
            ids[#ids + 1] = found[i]
        end
    end
    if place ~= '0' then break end
    number = number + 1
end
return {sets[number] and place .. number - 1 or '0', ids}
