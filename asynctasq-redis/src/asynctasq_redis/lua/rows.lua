-- Rows: messages as `find` and `choose` return them. This file stands before those scripts.

-- Return the bytes of a message, its lease, error, reason and time of death, whether it is flagged to be
-- cancelled and, for a record that cannot be read, its state and its queue.
local function row_of(id, value)
    local h = parse(value)
    local lease = h.state == WAITING and call('HGET', P .. 'leases', id)
    local extra = (h.damaged or band(h.flags, EXTRA) ~= 0)
        and call('HMGET', P .. 'x:' .. id, 'e', 'r', 'd') or {false, false, false}
    local held = read_lease(lease)
    local flagged = held and call('SISMEMBER', P .. 'c:' .. held.owner, id) or 0
    local row = {value, held and lease or false, extra[1], extra[2], extra[3], flagged, false, false}
    if h.damaged then
        local state, queue = locate(id)
        row[7], row[8] = state or false, queue or false
    end
    return row
end
