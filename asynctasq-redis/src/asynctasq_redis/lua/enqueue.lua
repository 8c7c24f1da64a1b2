-- Store a chunk. ARGV: clock offset, number of profiles, for each its numbers and its queue; then for
-- each run of messages of one profile the profile's number with how many there are, and for each of
-- these its id, its bytes and, where the profile says so, its unique key. Answers with '' if all are
-- new; otherwise for each message with '1' (created), or the standing id and '0'.

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
        p.key, p.score = scheduled_set(priority, queue), whole(p.due)
    else
        p.key, p.score = P .. 'r:' .. queue, rank(priority, p.due)
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
    if held_until ~= 3 and not h then return nil end -- evicted by a server that is set to do that
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

-- What is known of messages so far goes into their sets.
local unwritten = {}

local function flush()
    for p in pairs(unwritten) do
        spread('ZADD', p.key, p.added)
        p.added = {}
    end
    unwritten = {}
end

local answers = {}
local all_new = true
local woken = {}

local function admitted(p, id)
    local added = p.added
    added[#added + 1] = p.score
    added[#added + 1] = id
    unwritten[p] = true
    if p.expiring then call('ZADD', P .. 'exp', whole(p.expires), id) end
    if p.due - now < 1500000 then
        woken[p.queue] = (woken[p.queue] or 0) + 1
    end
end

local function refused(number, standing)
    all_new = false
    answers[number] = standing .. '0'
end

local function enqueue_unique(p, id, blob, unique, number)
    if is_known(id, now) then return refused(number, id) end
    flush()
    local held_until, on_conflict, period, name = unpack_from('>BBdI4c0', unique)
    local holder = conflict(p, name, on_conflict, period)
    if holder then return refused(number, holder) end
    hold_key(id, name, held_until, period, now)
    call('SET', P .. 'm:' .. id, p.head .. pack('>I4', #name) .. name .. blob)
    admitted(p, id)
end

local function enqueue_one(p, id, blob, number)
    local key, value = P .. 'm:' .. id, p.head .. blob
    if not call('SET', key, value, 'NX') then
        if is_known(id, now) then return refused(number, id) end
        call('SET', key, value) -- over an outcome that is past its time
    end
    admitted(p, id)
end

-- Messages of one profile, nearly always all new. `from` is the place of the first's id.
local function enqueue_run(p, from, count, number)
    local pairs_to_set, added, score = {}, p.added, p.score
    local head, keys, places = p.head, P .. 'm:', #added
    for i = 1, count do
        local id = ARGV[from + i * 2 - 2]
        pairs_to_set[i * 2 - 1] = keys .. id
        pairs_to_set[i * 2] = head .. ARGV[from + i * 2 - 1]
        added[places + i * 2 - 1] = score
        added[places + i * 2] = id
    end
    if call('MSETNX', unpack(pairs_to_set)) == 1 then
        unwritten[p] = true
        if p.expiring then
            local late = {}
            for i = 1, count do
                late[i * 2 - 1], late[i * 2] = whole(p.expires), ARGV[from + i * 2 - 2]
            end
            spread('ZADD', P .. 'exp', late)
        end
        if p.due - now < 1500000 then woken[p.queue] = (woken[p.queue] or 0) + count end
        return
    end
    for i = places + 1, #added do added[i] = nil end
    for i = 1, count do
        enqueue_one(p, ARGV[from + i * 2 - 2], ARGV[from + i * 2 - 1], number + i)
    end
end

local done = 0
local last = #ARGV
while next_argument <= last do
    local number, count = unpack_from('>HH', ARGV[next_argument])
    local p = profiles[number]
    next_argument = next_argument + 1
    if p.unique then
        for i = 1, count do
            local at = next_argument + i * 3 - 3
            enqueue_unique(p, ARGV[at], ARGV[at + 1], ARGV[at + 2], done + i)
        end
        next_argument = next_argument + count * 3
    else
        enqueue_run(p, next_argument, count, done)
        next_argument = next_argument + count * 2
    end
    done = done + count
end

flush()
for queue, messages in pairs(woken) do wake(queue, messages) end
if all_new then return '' end
for i = 1, done do answers[i] = answers[i] or '1' end
return answers
