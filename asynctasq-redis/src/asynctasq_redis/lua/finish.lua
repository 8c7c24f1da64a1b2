-- Keep the ends of messages that a broker holds. ARGV: clock offset; then for each its id; its numbers (kind,
-- time to live, time for which it is marked, time of its enqueue, attempts, lost leases); and its contents. A
-- dead letter has also numbers and queue as in enqueue.lua, its unique key, its bytes, and its failure as in
-- settle.lua. Returns '1' or '0' for each.

even_when_full()
local now = clock(tonumber(ARGV[1]))
local OF_CANCELLED, OF_DEAD = 5, 6 -- the kinds below are one more than the contents of the outcome

-- The value of its key is written last: until then, the letter does not exist, and the call may be repeated.
local function bury(id, at, enqueued, attempts, lost)
    local queue, blob, failure = ARGV[at + 1], ARGV[at + 3], ARGV[at + 4]
    local h, between = new_head(ARGV[at], queue, ARGV[at + 2], now)
    h.state, h.flags = DEAD, bor(h.flags, EXTRA)
    h.enqueued, h.attempt, h.lost = enqueued, attempts, lost
    local reason, about_bytes, after = unpack_from('>Bc0H', failure)
    local extra = P .. 'x:' .. id
    call('DEL', extra)
    call('HSET', extra, 'r', reason, 'd', whole(now), 'e', sub(failure, after + about_bytes))
    if about_bytes > 0 then call('HSET', extra, 'a', sub(failure, after - 2, after + about_bytes - 1)) end
    call('HINCRBY', P .. 'queues', queue, 0)
    index_dead(id, queue, now)
    call('SET', P .. 'm:' .. id, packed_head(h) .. between .. blob)
end

local function keep_outcome(id, kind, ttl, contents)
    local seconds = math.max(math.min(ttl, MOST_TTL), LEAST_TTL)
    local state, has = COMPLETED, kind - 1
    if kind == OF_CANCELLED then state, has = CANCELLED, contents ~= '' and ABOUT or 0 end
    call('SET', P .. 'm:' .. id, pack(OUTCOME, state, has, now, now + seconds * 1000000) .. contents, 'PX',
        whole(seconds * 1000))
end

local answers, at = {}, 2
while at <= #ARGV do
    local id = ARGV[at]
    local kind, ttl, marked, enqueued, attempts, lost = unpack_from('>BdddI4I4', ARGV[at + 1])
    local past, _, is_marked = past_of(id, now)
    if not past then
        if kind == OF_DEAD then
            bury(id, at + 3, enqueued, attempts, lost)
        else
            keep_outcome(id, kind, ttl, ARGV[at + 2])
        end
        notify_end(id)
    end
    -- A call that failed has kept the end, but not marked it. What waits or runs here is marked as it ends.
    local _, state = is_known(id, now)
    if not is_marked and state ~= WAITING then keep_only(id, ENDED, marked, now) end
    answers[#answers + 1] = past and '0' or '1'
    at = at + (kind == OF_DEAD and 8 or 3)
end
return table.concat(answers)
