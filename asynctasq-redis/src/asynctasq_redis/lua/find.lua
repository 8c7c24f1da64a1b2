-- Messages as they are. ARGV: clock offset, 'whole' or 'head', ids. Answers with the time, then for
-- each of the first ids, as many as MOST_BYTES hold, with the message, its lease, error, reason, time
-- of death, whether it is to be cancelled, and, for a record that cannot be read, its state and queue.

local now = clock(tonumber(ARGV[1]))
local room = MOST_BYTES

local function about(id, value)
    local h = parse(value)
    local lease = h.state == WAITING and call('HGET', P .. 'leases', id)
    local extra = (h.damaged or band(h.flags, EXTRA) ~= 0)
        and call('HMGET', P .. 'x:' .. id, 'e', 'r', 'd') or {false, false, false}
    local held = read_lease(lease)
    local flagged = held and call('SISMEMBER', P .. 'c:' .. held.owner, id) or 0
    local answer = {value, held and lease or false, extra[1], extra[2], extra[3], flagged, false, false}
    if h.damaged then
        local state, queue = locate(id)
        answer[7], answer[8] = state or false, queue or false
    end
    return answer
end

-- The beginning of a message, by one command: listings read that of every message in a state.
local function beginning(key)
    local value = call('GETRANGE', key, 0, HEAD_BYTES - 2)
    local state = byte(value, 1)
    if state == COMPLETED or state == CANCELLED then return false end
    return (state or call('EXISTS', key) == 1) and {value}
end

local answer = {whole(now)}
for i = 3, #ARGV do
    local id = ARGV[i]
    local key = P .. 'm:' .. id
    local found = false
    if ARGV[2] == 'head' then
        found = beginning(key)
    elseif head(id) then
        local size = call('STRLEN', key)
        if size > room and i > 3 then break end
        room = room - size
        found = about(id, call('GET', key))
    end
    answer[i - 1] = found
end
return answer
