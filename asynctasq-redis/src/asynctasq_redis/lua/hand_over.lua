-- Enqueue messages that a broker held. ARGV: clock offset; then for each its id; its past (due, enqueued,
-- attempts, lost leases, time for which the move is marked, whether it has an error); numbers and queue as in
-- enqueue.lua; its unique key, its error and its bytes. Returns '1' or '0' for each.

even_when_full()
local now = clock(tonumber(ARGV[1]))

-- The value is written last: until then, the message is not accepted.
local function add(at, due, enqueued, attempts, lost, has_error, progress)
    local id, queue, blob = ARGV[at], ARGV[at + 3], ARGV[at + 6]
    local h, between = new_head(ARGV[at + 2], queue, ARGV[at + 4], now)
    h.due, h.enqueued, h.attempt, h.lost = due, enqueued, attempts, lost
    local extra = P .. 'x:' .. id
    call('DEL', extra)
    if has_error == 1 then call('HSET', extra, 'e', ARGV[at + 5]) end
    if progress then call('HSET', extra, 'p', progress) end
    if has_error == 1 or progress then h.flags = bor(h.flags, EXTRA) end
    if #blob > LARGE_BYTES then
        h.flags = bor(h.flags, LARGE)
        call('SADD', P .. 'big', id)
    end
    call('HINCRBY', P .. 'queues', queue, 0)
    make_wait(id, h, now)
    call('SET', P .. 'm:' .. id, packed_head(h) .. between .. blob)
end

local answers = {}
for at = 2, #ARGV, 7 do
    local id = ARGV[at]
    local due, enqueued, attempts, lost, marked, has_error = unpack_from('>ddI4I4dB', ARGV[at + 1])
    local past, facts, is_marked = past_of(id, now)
    if not past then
        if facts[FLAGGED] then
            local priority, _, ttl = unpack_from('>BI4d', ARGV[at + 2])
            cancel_for_good(id, {flags = 0, priority = priority, queue = ARGV[at + 3]}, ttl, now)
        else
            add(at, due, enqueued, attempts, lost, has_error, facts[PROGRESS])
        end
    end
    if not is_marked then keep_only(id, MOVED, marked, now) end
    answers[#answers + 1] = past and '0' or '1'
end
return table.concat(answers)
