-- Lease messages. ARGV: clock offset, limit, length of the lease, owner, how long and how many dead
-- letters are kept; then names of queues with the most that may be taken of each. Answers with ids
-- and messages in turn, then numbers of deliveries with the time of their first mismatch, in turn.

even_when_full()
local now = clock(tonumber(ARGV[1]))
local limit, owner = tonumber(ARGV[2]), ARGV[4]
local deadline = now + tonumber(ARGV[3])

reclaim_ended(now)
local any_paused = false
if call('EXISTS', P .. 'exp', P .. 'dead', P .. 'paused') > 0 then
    expire(now)
    trim_dead(now, tonumber(ARGV[5]), tonumber(ARGV[6]))
    any_paused = call('EXISTS', P .. 'paused') == 1
end

local deliveries, mismatches, leases, owned = {}, {}, {}, {}
local taken = 0

local function lease_one(queue, made, id, value)
    local flags = byte(value, 2)
    if flags > EXTRA then
        local h = parse(value)
        if band(flags, EXPIRES) ~= 0 then
            if h.expires <= now then
                bury(id, h, 'expired', '', now)
                return false
            end
            never_expires(id, h)
            write_head(id, h)
            flags = h.flags
        end
        free_key(id, h, false, true)
        if band(flags, MISMATCHED) ~= 0 then
            mismatches[#mismatches + 1] = taken
            mismatches[#mismatches + 1] = call('HGET', P .. 'x:' .. id, 'm')
        end
    end
    local token = unpack_from('>I4', value, 3) + 1
    local kind = token * 256 + flags
    local lease = made[kind]
    if not lease then
        lease = pack('>I4', token) .. lease_tail(owner, queue, flags, now)
        made[kind] = lease
    end
    taken = taken + 1
    leases[taken * 2 - 1] = id
    leases[taken * 2] = lease
    owned[taken] = id
    deliveries[taken * 2 - 1] = id
    deliveries[taken * 2] = value
    return true
end

local function take(queue, most)
    promote(queue, now, most)
    local made = {}
    local from = taken
    local ready, prefix = P .. 'r:' .. queue, P .. 'm:'
    local looked_at = 0
    while taken - from < most and looked_at < most + BOUND do -- the rest of what has expired waits
        -- Twice as fast as ZPOPMIN, which writes out the scores.
        local popped = call('ZRANGE', ready, 0, most - (taken - from) - 1)
        if #popped == 0 then break end
        call('ZREMRANGEBYRANK', ready, 0, #popped - 1)
        looked_at = looked_at + #popped
        local keys = {}
        for i = 1, #popped do keys[i] = prefix .. popped[i] end
        local values = call('MGET', unpack(keys))
        for i = 1, #keys do
            local value = values[i]
            if value and byte(value, 1) == WAITING then
                lease_one(queue, made, popped[i], value)
            end
        end
    end
    if taken > from then
        call('HINCRBY', P .. 'queues', queue, taken - from)
    end
end

for i = 7, #ARGV, 2 do
    local queue = ARGV[i]
    local most = math.min(tonumber(ARGV[i + 1]), limit - taken)
    if most > 0 and not (any_paused and call('SISMEMBER', P .. 'paused', queue) == 1) then
        take(queue, most)
    end
end

if taken > 0 then
    spread('HSET', P .. 'leases', leases)
    spread('SADD', P .. 'o:' .. owner, owned)
    call('ZADD', P .. 'owners', 'GT', whole(deadline), owner)
else
    call('ZADD', P .. 'owners', 'XX', 'GT', whole(deadline), owner)
    for i = 7, #ARGV, 2 do forget_if_empty(ARGV[i]) end
end
return {whole(now), deliveries, mismatches}
