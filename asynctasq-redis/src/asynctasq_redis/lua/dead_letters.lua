-- A page of dead letters, newest first. ARGV: key of the sorted set, limit, and the time and id of
-- the one before the page, or nothing. Answers with ids and times in turn.

local key, limit = P .. ARGV[1], tonumber(ARGV[2])
if not ARGV[3] then return call('ZREVRANGE', key, 0, limit - 1, 'WITHSCORES') end
local time, id = ARGV[3], ARGV[4]
local same = call('ZCOUNT', key, time, time)
local found = call('ZREVRANGEBYSCORE', key, time, '-inf', 'WITHSCORES', 'LIMIT', 0, limit + same)
local answer = {}
for i = 1, #found, 2 do
    if #answer / 2 < limit and (found[i + 1] ~= time or found[i] < id) then
        answer[#answer + 1] = found[i]
        answer[#answer + 1] = found[i + 1]
    end
end
return answer
