-- Return outcomes. ARGV: clock offset, ids. Returns, for the first ids up to MOST_BYTES, the outcome as stored;
-- for a dead message its time of death, reason, error and note; nil for others.

local now = clock(tonumber(ARGV[1]))
local room = MOST_BYTES
local answer = {}
for i = 2, #ARGV do
    local id = ARGV[i]
    local known, state, prefix = is_known(id, now)
    answer[i - 1] = false
    if known and state == DEAD then
        answer[i - 1] = call('HMGET', prefix .. 'x:' .. id, 'd', 'r', 'e', 'a')
    elseif known and state ~= WAITING then
        local size = call('STRLEN', prefix .. 'm:' .. id)
        if size > room and i > 2 then
            answer[i - 1] = nil
            break
        end
        room = room - size
        answer[i - 1] = call('GET', prefix .. 'm:' .. id)
    end
end
return answer
