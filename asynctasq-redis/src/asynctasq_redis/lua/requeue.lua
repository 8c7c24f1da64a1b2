-- Make dead messages ready again, as they are given. ARGV: clock offset; then for each its id,
-- numbers and queue as in enqueue.lua, until when it holds its unique key (0: it needs none), that
-- key, and its bytes. Answers with '1' or '0' for each.

local now = clock(tonumber(ARGV[1]))

local function take_key(id, name, held_until)
    local holder = hold_of(name, now)
    if holder and holder ~= id then return false end
    hold_key(id, name, held_until, 0, now)
    return true
end

local function requeue(i)
    local id = ARGV[i]
    local h = head(id)
    if not h or h.state ~= DEAD then return '0' end
    local priority, max_lost, ttl, _, _, expires, unique = unpack_from('>BI4ddddB', ARGV[i + 1])
    local queue, held_until, name, blob = ARGV[i + 2], tonumber(ARGV[i + 3]), ARGV[i + 4], ARGV[i + 5]
    if held_until ~= 0 and not take_key(id, name, held_until) then return '0' end
    leave_dead(id, h)
    forget_if_empty(h.queue)
    call('DEL', P .. 'x:' .. id)
    local due_until = expires >= 0 and now + expires or 0
    local flags = (expires >= 0 and EXPIRES or 0) + (unique == 1 and UNIQUE or 0)
    local value = pack(HEAD_AND_QUEUE, WAITING, flags, h.token, 0, 0, max_lost, priority,
        h.enqueued, now, due_until, ttl, #queue, queue)
    if unique == 1 then value = value .. pack('>I4', #name) .. name end
    call('SET', P .. 'm:' .. id, value .. blob)
    if expires >= 0 then call('ZADD', P .. 'exp', whole(due_until), id) end
    call('HINCRBY', P .. 'queues', queue, 0)
    make_ready(id, {queue = queue, priority = priority, due = now})
    return '1'
end

local answers = {}
for i = 2, #ARGV, 6 do answers[#answers + 1] = requeue(i) end
return table.concat(answers)
