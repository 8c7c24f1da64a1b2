-- Lease messages, as many as are asked for or about as many as MOST_BYTES hold. ARGV: clock offset,
-- limit, length of the lease, owner, how long and how many dead letters are kept; then names of queues
-- with the most that may be taken of each. Answers with ids and messages in turn, then numbers of
-- deliveries with the time of their first mismatch, in turn.

local MOST_BYTES = 8 * 1024 * 1024 -- so that a call takes no longer than some milliseconds
local FIRST_STEP, LONGEST_STEP = 8, 64 -- messages that are read before it is looked how large they are

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
local taken, room = 0, MOST_BYTES

-- What few messages have is seen to. Answers with the flags that are left; nil if it is not to run.
local function prepare(id, value)
    local h = parse(value)
    if band(h.flags, EXPIRES) ~= 0 then
        if h.expires <= now then
            bury(id, h, 'expired', '', now)
            return nil
        end
        never_expires(id, h)
        write_head(id, h)
    end
    free_key(id, h, false, true)
    if band(h.flags, MISMATCHED) ~= 0 then
        mismatches[#mismatches + 1] = taken
        mismatches[#mismatches + 1] = call('HGET', P .. 'x:' .. id, 'm')
    end
    return h.flags
end

-- Leases of messages whose heads begin alike are equal.
local function make_lease(queue, flags, value)
    return pack('>I4', unpack_from('>I4', value, 3) + 1) .. lease_tail(owner, queue, flags, now)
end

local function take(queue, most)
    promote(queue, now, most)
    local made = {}
    local from = taken
    local ready, prefix = P .. 'r:' .. queue, P .. 'm:'
    local looked_at, step = 0, FIRST_STEP
    -- The rest of what has expired waits.
    while taken - from < most and looked_at < most + FEW and room > 0 do
        -- Twice as fast as ZPOPMIN, which writes out the scores.
        local popped = call('ZRANGE', ready, 0, math.min(step, most - (taken - from)) - 1)
        if #popped == 0 then break end
        call('ZREMRANGEBYRANK', ready, 0, #popped - 1)
        looked_at, step = looked_at + #popped, math.min(step * 2, LONGEST_STEP)
        local keys = {}
        for i = 1, #popped do keys[i] = prefix .. popped[i] end
        local values = call('MGET', unpack(keys))
        for i = 1, #keys do
            local value, id = values[i], popped[i]
            local state, flags
            if value then
                state, flags = byte(value, 1, 2)
                room = room - #value
            end
            if state == WAITING then
                local lease
                if flags <= EXTRA then
                    local begins = sub(value, 1, 6)
                    lease = made[begins]
                    if not lease then
                        lease = make_lease(queue, flags, value)
                        made[begins] = lease
                    end
                else
                    flags = prepare(id, value)
                    lease = flags and make_lease(queue, flags, value)
                end
                if lease then
                    local place = taken * 2 + 1
                    taken = taken + 1
                    leases[place], leases[place + 1] = id, lease
                    deliveries[place], deliveries[place + 1] = id, value
                    owned[taken] = id
                end
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
    if most > 0 and room > 0
            and not (any_paused and call('SISMEMBER', P .. 'paused', queue) == 1) then
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
