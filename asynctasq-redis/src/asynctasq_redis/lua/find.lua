-- Messages as they are. ARGV: clock offset, 'whole' or 'head', ids. Answers with the time, then for
-- each with the message, its lease, error, reason, time of death, and whether it is to be cancelled.

local now = clock(tonumber(ARGV[1]))
local whole_messages = ARGV[2] == 'whole'
local answer = {whole(now)}
for i = 3, #ARGV do
    local id = ARGV[i]
    local key = P .. 'm:' .. id
    local value
    if whole_messages then
        value = call('GET', key)
    else
        value = call('GETRANGE', key, 0, 49)
    end
    if not value or value == '' or byte(value, 1) > DEAD then
        answer[i - 1] = false
    elseif not whole_messages then
        answer[i - 1] = {value}
    else
        local lease = byte(value, 1) == WAITING and call('HGET', P .. 'leases', id)
        local extra = band(byte(value, 2), EXTRA) ~= 0
            and call('HMGET', P .. 'x:' .. id, 'e', 'r', 'd') or {false, false, false}
        local flagged = lease and call('SISMEMBER', P .. 'c:' .. owner_and_queue(lease), id) or 0
        answer[i - 1] = {value, lease, extra[1], extra[2], extra[3], flagged}
    end
end
return answer
