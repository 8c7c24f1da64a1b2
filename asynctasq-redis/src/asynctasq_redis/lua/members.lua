-- A piece of the ids in one sorted set of a queue, found by ZSCAN: whatever is in it all the while is
-- met, some of it twice. ARGV: clock offset, queue, set ('r:', 's:' or 'd:'), which of them ('all'; of
-- those in 's:' 'due' or 'later'), position, about how many. Answers with the next position (0 at the
-- end) and with ids.

local now = clock(tonumber(ARGV[1]))
local which = ARGV[4]
local position, found =
    unpack(call('ZSCAN', P .. ARGV[3] .. ARGV[2], ARGV[5], 'COUNT', ARGV[6]))
local ids = {}
for i = 1, #found, 2 do
    if which == 'all' then
        ids[#ids + 1] = found[i]
    elseif (tonumber(found[i + 1]) <= now) == (which == 'due') then
        ids[#ids + 1] = sub(found[i], 2) -- behind its priority
    end
end
return {position, ids}
