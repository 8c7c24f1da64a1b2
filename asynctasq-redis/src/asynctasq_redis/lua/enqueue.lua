-- Store a chunk. ARGV: clock offset; '1' if an id occurs twice, '2' if a message is large, otherwise '0'; the
-- number of profiles, and for each its numbers and its queue. Then for each run of messages of one profile: the
-- number of the profile with the length of the run, and for each message its id, its bytes and, if the profile
-- says so, its unique key. Returns '' if all are new; otherwise for each message '1' (created), or the id that
-- stands and '0'.

local args = ARGV -- a local is read faster than a global
local now = clock(tonumber(args[1]))
local may_repeat = args[2] == '1'
local next_argument = 4
local profiles = {}
local names = {}

for number = 1, tonumber(args[3]) do
    local priority, max_lost, ttl, delay, eta, expires, unique =
        unpack_from('>BI4ddddB', args[next_argument])
    local queue = args[next_argument + 1]
    next_argument = next_argument + 2
    local p = {queue = queue, priority = priority, unique = unique == 1}
    p.due = eta >= 0 and math.max(eta, now) or now + delay
    local flags = (expires >= 0 and EXPIRES or 0) + (p.unique and UNIQUE or 0)
    p.expires = expires >= 0 and p.due + expires or 0
    if not is_time(p.due) or not is_time(p.expires) or ttl ~= ttl then
        return redis.error_reply('times and durations must be numbers')
    end
    p.expiring = expires >= 0
    local h = {state = WAITING, flags = flags, token = 0, attempt = 0, lost = 0, max_lost = max_lost,
        priority = priority, enqueued = now, due = p.due, expires = p.expires, ttl = ttl}
    local behind = pack('>Hc0', #queue, queue)
    p.head = packed_head(h) .. behind
    h.flags = flags + LARGE
    p.large_head = packed_head(h) .. behind
    if p.due > now then
        p.key, p.score = scheduled_set(priority, queue), whole(p.due)
    else
        p.key, p.score = P .. 'r:' .. queue, rank(priority, p.due)
    end
    profiles[number] = p
    names[queue] = 0
end

-- All writes are collected before the first one: entries of indexes, then values. A message is accepted when
-- its value is written. `reserve` drops entries without a value.
local added, added_to, values, large, woken = {}, {}, {}, {}, {}
local late = {}

local function admit(p, id, blob, between)
    local list = added[p.key]
    if not list then
        list = {}
        added[p.key] = list
        added_to[#added_to + 1] = p.key
    end
    local place = #list
    list[place + 1], list[place + 2] = p.score, id
    if p.expiring then
        place = #late
        late[place + 1], late[place + 2] = whole(p.expires), id
    end
    local head = p.head
    if #blob > LARGE_BYTES then
        large[#large + 1] = id
        head = p.large_head
    end
    place = #values
    values[place + 1] = P .. 'm:' .. id
    values[place + 2] = between and head .. between .. blob or head .. blob
    if p.due - now < 1500000 then woken[p.queue] = (woken[p.queue] or 0) + 1 end
end

local function write()
    spread('SADD', P .. 'big', large)
    spread('ZADD', P .. 'exp', late)
    for _, key in ipairs(added_to) do spread('ZADD', key, added[key]) end
    for from = 1, #values, ARGUMENTS do
        call('MSET', unpack(values, from, math.min(from + ARGUMENTS - 1, #values)))
    end
    added, added_to, values, large, late = {}, {}, {}, {}, {}
end

local answers = {}
local all_new = true

local function refused(number, standing)
    all_new = false
    answers[number] = standing .. '0'
end

-- Unique messages are stored one by one, because each may conflict with the next.

local function reschedule(holder, h, due)
    local before = {key = P .. 'r:' .. h.queue, other = scheduled_set(h.priority, h.queue)}
    if band(h.flags, EXPIRES) ~= 0 then
        h.expires = due + h.expires - h.due
        call('ZADD', P .. 'exp', whole(h.expires), holder)
    end
    h.due = due
    if due <= now then
        make_ready(holder, h)
        call('ZREM', before.other, holder)
    else
        make_scheduled(holder, h, now)
        call('ZREM', before.key, holder)
    end
    write_head(holder, h)
end

-- Return the message that keeps the key, or nil if the new one gets it; then the message that it replaces.
local function conflict(p, key, on_conflict, period)
    local holder, held_until, held_period, h = hold_of(key, now)
    if not holder then return nil end
    local waits = h and not h.damaged and h.state == WAITING
        and call('HEXISTS', P .. 'leases', holder) == 0
    if on_conflict == 2 and waits then return nil, holder, h end
    if on_conflict == 3 then
        if waits and h.due > now then reschedule(holder, h, p.due) end
        if held_until == 3 then
            hold_key(holder, key, 3, period >= 0 and period or held_period, now)
        end
    end
    return holder
end

local function enqueue_unique(p, id, blob, unique, number)
    if is_known(id, now) then return refused(number, id) end
    local held_until, on_conflict, period, name = unpack_from('>BBdI4c0', unique)
    local holder, replaced, h = conflict(p, name, on_conflict, period)
    if holder then return refused(number, holder) end
    admit(p, id, blob, pack('>I4', #name) .. name)
    hold_key(id, name, held_until, period, now)
    write()
    if replaced then
        cancel_for_good(replaced, h, h.ttl, now) -- it no longer holds the key
        leave_waiting(replaced, h.queue, h.priority)
    end
end

local runs = {} -- profile, place of the first id, length, number of messages before
local done = 0
local last = #args
while next_argument <= last do
    local number, count = unpack_from('>HH', args[next_argument])
    local p = profiles[number]
    next_argument = next_argument + 1
    runs[#runs + 1] = {p, next_argument, count, done}
    next_argument = next_argument + count * (p.unique and 3 or 2)
    done = done + count
end

-- Return the keys of all plain messages if they are small, none is known and no id occurs twice, as in nearly
-- all calls. They are then written without a function call for each.
local function keys_of_new()
    if args[2] ~= '0' or call('EXISTS', OLD .. 'queues') == 1 then return nil end
    local arguments, keys, count, prefix = args, {}, 0, P .. 'm:'
    for _, run in ipairs(runs) do
        if not run[1].unique then
            for at = run[2], run[2] + run[3] * 2 - 1, 2 do
                count = count + 1
                keys[count] = prefix .. arguments[at]
            end
        end
    end
    for from = 1, count, ARGUMENTS do
        if call('EXISTS', unpack(keys, from, math.min(from + ARGUMENTS - 1, count))) > 0 then
            return nil
        end
    end
    return keys
end

local keys, used = keys_of_new(), 0

local function admit_run(p, from, count)
    local list = added[p.key]
    if not list then
        list = {}
        added[p.key] = list
        added_to[#added_to + 1] = p.key
    end
    local arguments, all_keys, next_key = args, keys, used
    local head, score, place, stored = p.head, p.score, #list, #values
    for at = from, from + count * 2 - 1, 2 do
        next_key, place, stored = next_key + 1, place + 2, stored + 2
        list[place - 1], list[place] = score, arguments[at]
        values[stored - 1], values[stored] = all_keys[next_key], head .. arguments[at + 1]
    end
    used = next_key
    if p.expiring then
        local expires, length = whole(p.expires), #late
        for at = from, from + count * 2 - 1, 2 do
            late[length + 1], late[length + 2] = expires, args[at]
            length = length + 2
        end
    end
    if p.due - now < 1500000 then woken[p.queue] = (woken[p.queue] or 0) + count end
end

for queue in pairs(names) do call('HINCRBY', P .. 'queues', queue, 0) end

for _, run in ipairs(runs) do
    local p, at, number = run[1], run[2], run[4]
    if p.unique then
        write() -- the messages before it
        for i = 1, run[3] do
            enqueue_unique(p, args[at], args[at + 1], args[at + 2], number + i)
            at = at + 3
        end
    elseif keys then
        admit_run(p, at, run[3])
    else
        for i = 1, run[3] do
            local id = args[at]
            if is_known(id, now) then
                refused(number + i, id)
            else
                admit(p, id, args[at + 1])
                if may_repeat then write() end
            end
            at = at + 2
        end
    end
end
write()
for queue, messages in pairs(woken) do wake(queue, messages) end
if all_new then return '' end
for i = 1, done do answers[i] = answers[i] or '1' end
return answers
