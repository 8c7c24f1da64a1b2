-- Store a chunk. ARGV: clock offset, number of profiles, for each its numbers and its queue; then
-- for each message its id with the number of its profile, its bytes and, where the profile says so,
-- its unique key. Answers with the standing id and '1' (created) or '0' for each message.

local now = clock(tonumber(ARGV[1]))
local next_argument = 3
local profiles = {}
local names = {}

for number = 1, tonumber(ARGV[2]) do
    local priority, max_lost, ttl, delay, eta, expires, unique =
        unpack_from('>BI4ddddB', ARGV[next_argument])
    local queue = ARGV[next_argument + 1]
    next_argument = next_argument + 2
    local p = {queue = queue, priority = priority, unique = unique == 1, delay = delay, eta = eta}
    p.due = eta >= 0 and math.max(eta, now) or now + delay
    p.flags = (expires >= 0 and EXPIRES or 0) + (p.unique and UNIQUE or 0)
    p.expires = expires >= 0 and p.due + expires or 0
    p.expiring = expires >= 0
    p.head = pack(HEAD_AND_QUEUE, WAITING, p.flags, 0, 0, 0, max_lost, priority, now, p.due,
        p.expires, ttl, #queue, queue)
    if p.due > now then
        p.key, p.score, p.prefix = P .. 's:' .. queue, whole(p.due), string.char(priority)
    else
        p.key, p.score, p.prefix = P .. 'r:' .. queue, rank(priority, p.due), ''
    end
    p.added = {}
    profiles[number] = p
    names[queue] = 0
end

for queue in pairs(names) do
    call('HINCRBY', P .. 'queues', queue, 0)
end

local function reschedule(holder, h, due)
    leave_waiting(holder, h)
    if band(h.flags, EXPIRES) ~= 0 then
        h.expires = due + h.expires - h.due
        call('ZADD', P .. 'exp', whole(h.expires), holder)
    end
    h.due = due
    write_head(holder, h)
    if due <= now then make_ready(holder, h) else make_scheduled(holder, h, now) end
end

-- Who keeps the key; nil if the newcomer may take it.
local function conflict(p, key, on_conflict, period)
    local holder, held_until, held_period = hold_of(key, now)
    if not holder then return nil end
    local h = head(holder)
    local waits = h and h.state == WAITING and call('HEXISTS', P .. 'leases', holder) == 0
    if on_conflict == 2 and waits then
        leave_waiting(holder, h)
        cancel_for_good(holder, h, h.ttl, now)
        return nil
    end
    if on_conflict == 3 then
        if waits and h.due > now then reschedule(holder, h, p.due) end
        if held_until == 3 then
            hold_key(holder, key, 3, period >= 0 and period or held_period, now)
        end
    end
    return holder
end

-- What is known of a profile's messages so far goes into its set.
local function flush(p)
    if #p.added > 0 then
        spread('ZADD', p.key, p.added)
        p.added = {}
    end
end

local answers = {}
local count = 0
local woken = {}
local last = #ARGV

while next_argument <= last do
    local item, blob = ARGV[next_argument], ARGV[next_argument + 1]
    next_argument = next_argument + 2
    local id = sub(item, 1, 16)
    local p = profiles[byte(item, 17) * 256 + byte(item, 18)]
    local key = P .. 'm:' .. id
    local standing, created = id, '1'
    if p.unique then
        local held_until, on_conflict, period, name = unpack_from('>BBdI4c0', ARGV[next_argument])
        next_argument = next_argument + 1
        if is_known(id, now) then
            created = '0'
        else
            for _, other in ipairs(profiles) do flush(other) end
            local holder = conflict(p, name, on_conflict, period)
            if holder then
                standing, created = holder, '0'
            else
                hold_key(id, name, held_until, period, now)
                call('SET', key, p.head .. pack('>I4', #name) .. name .. blob)
            end
        end
    elseif not call('SET', key, p.head .. blob, 'NX') then
        if is_known(id, now) then
            created = '0'
        else
            call('SET', key, p.head .. blob) -- over an outcome that is past its time
        end
    end
    if created == '1' then
        local added = p.added
        added[#added + 1] = p.score
        added[#added + 1] = p.prefix .. id
        if p.expiring then call('ZADD', P .. 'exp', whole(p.expires), id) end
        if p.due - now < 1500000 then
            woken[p.queue] = (woken[p.queue] or 0) + 1
        end
    end
    count = count + 1
    answers[count] = standing .. created
end

for _, p in ipairs(profiles) do flush(p) end
for queue, messages in pairs(woken) do wake(queue, messages) end
return table.concat(answers)
