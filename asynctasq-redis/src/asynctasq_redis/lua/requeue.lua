-- Requeue dead letters with new contents. ARGV: clock offset; then for each its id, numbers and queue as in
-- enqueue.lua, the rule of its unique key (0 if it needs none), that key, and its bytes. Returns '1' or '0'
-- for each.

local now = clock(tonumber(ARGV[1]))

local values, extras, queues, begun = {}, {}, {}, {}
local seen, held = {}, {}

local function requeue(i)
    local id = ARGV[i]
    local h = not seen[id] and head(id)
    if not h then return '0' end
    if h.damaged then -- its record is replaced
        local state, of = locate(id)
        if state ~= 'dead' then return '0' end
        h = {state = DEAD, queue = of, token = unused_token(now), enqueued = now}
    elseif h.state ~= DEAD then
        return '0'
    end
    local priority, max_lost, ttl, _, _, expires, unique = unpack_from('>BI4ddddB', ARGV[i + 1])
    local queue, held_until, name, blob = ARGV[i + 2], tonumber(ARGV[i + 3]), ARGV[i + 4], ARGV[i + 5]
    local large = #blob > LARGE_BYTES
    local due_until = expires >= 0 and now + expires or 0
    local flags = (expires >= 0 and EXPIRES or 0) + (unique == 1 and UNIQUE or 0) + (large and LARGE or 0)
    local value = pack(HEAD_AND_QUEUE, WAITING, flags, h.token, 0, 0, max_lost, priority,
        h.enqueued, now, due_until, ttl, #queue, queue)
    if unique == 1 then value = value .. pack('>I4', #name) .. name end
    if held_until ~= 0 then
        local holder = hold_of(name, now)
        if holder and holder ~= id or held[name] then return '0' end
        held[name] = true
    end
    seen[id] = true
    -- It is dead until its value is written: a repeated call does all of this again.
    undo_requeue(id)
    call('HSET', P .. 'x:' .. id, 't', queue)
    begun[#begun + 1] = id
    call('HINCRBY', P .. 'queues', queue, 0)
    if held_until ~= 0 then hold_key(id, name, held_until, 0, now) end
    if large then call('SADD', P .. 'big', id) end
    if expires >= 0 then call('ZADD', P .. 'exp', whole(due_until), id) end
    call('ZADD', P .. 'r:' .. queue, rank(priority, now), id)
    call('ZREM', P .. 'dead', id)
    call('ZREM', P .. 'd:' .. h.queue, id)
    local place = #values
    values[place + 1], values[place + 2] = P .. 'm:' .. id, value .. blob
    extras[#extras + 1] = P .. 'x:' .. id
    queues[queue], queues[h.queue] = true, true
    return '1'
end

-- Writes that the requeued messages do not depend on.
local function tidy()
    spread('DEL', extras[1], extras)
    for queue in pairs(queues) do
        wake(queue, #extras)
        forget_if_empty(queue)
    end
end

-- Put messages back that have left the indexes of dead letters, but are still dead.
local function undo()
    for _, id in ipairs(begun) do
        local h = head(id)
        if h and not h.damaged and h.state == DEAD then
            index_dead_again(id, h.queue, now)
            undo_requeue(id)
        end
    end
end

local answers = {}
local done, problem = pcall(function()
    for i = 2, #ARGV, 6 do answers[#answers + 1] = requeue(i) end
    if #values > 0 then call('MSET', unpack(values)) end
end)
if not done then
    undo()
    error(problem, 0)
end
if #values > 0 then pcall(tidy) end
return table.concat(answers)
