-- Outcomes. ARGV: clock offset, ids. Answers for each with the outcome as stored; for a dead message
-- with time, reason and error; with nothing otherwise.

local now = clock(tonumber(ARGV[1]))
local answer = {}
for i = 2, #ARGV do
    local id = ARGV[i]
    local known, state = is_known(id, now)
    answer[i - 1] = false
    if known and state == DEAD then
        answer[i - 1] = call('HMGET', P .. 'x:' .. id, 'd', 'r', 'e')
    elseif known and state ~= WAITING then
        answer[i - 1] = call('GET', P .. 'm:' .. id)
    end
end
return answer
