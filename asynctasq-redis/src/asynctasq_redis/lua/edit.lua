-- Change messages that wait. ARGV: clock offset; the new due time, or ''; '1' if the expiry is new; then for each
-- its id, the digest of its bytes as the caller read them, the new priority, queue ('' to leave it) and expiry
-- (microseconds, or ''), and its new bytes. Returns '1' or '0' for each, or 'R' if its bytes are others now: read it again.

local now = clock(tonumber(ARGV[1]))
local wanted, is_new_expiry = tonumber(ARGV[2]), ARGV[3] == '1'
local values, steps = {}, {}

-- Return a message that waits with all of its bytes, and where those that change with it begin.
local function waiting(id)
    local h = head(id)
    if not h or h.damaged or h.state ~= WAITING or band(h.flags, DAMAGED) ~= 0 or lease_of(id) then return nil end
    local value, at = call('GET', P .. 'm:' .. id), h.after
    if band(h.flags, UNIQUE) ~= 0 then
        if #value < at + 3 then return nil end
        at = at + 4 + unpack_from('>I4', value, at)
    end
    return h, value, at
end

local function place_of(h)
    if h.due > now then return scheduled_set(h.priority, h.queue), whole(h.due) end
    return P .. 'r:' .. h.queue, rank(h.priority, h.due)
end

local function edit(i)
    local id = ARGV[i]
    local h, value, at = waiting(id)
    if not h then return '0' end
    if redis.sha1hex(sub(value, at)) ~= ARGV[i + 1] then return 'R' end
    local old = {queue = h.queue, priority = h.priority, expires = h.expires,
        expiring = band(h.flags, EXPIRES) ~= 0}
    local between, blob, expires = sub(value, h.after, at - 1), ARGV[i + 5], tonumber(ARGV[i + 4])
    h.priority = tonumber(ARGV[i + 2])
    if ARGV[i + 3] ~= '' then h.queue = ARGV[i + 3] end
    if wanted then h.due = wanted > now and wanted or math.min(h.due, now) end
    if expires and (old.expiring or is_new_expiry) then
        h.flags, h.expires = bor(h.flags, EXPIRES), h.due + expires
    end
    h.flags = band(h.flags, bnot(LARGE))
    if #blob > LARGE_BYTES then h.flags = bor(h.flags, LARGE) end
    local key, score = place_of(h)
    local step = {id = id, h = h, old = old, key = key, before = call('ZSCORE', key, id)}
    steps[#steps + 1] = step
    call('HINCRBY', P .. 'queues', h.queue, 0)
    if band(h.flags, LARGE) ~= 0 then call('SADD', P .. 'big', id) end
    if band(h.flags, EXPIRES) ~= 0 then call('ZADD', P .. 'exp', whole(h.expires), id) end
    call('ZADD', key, score, id)
    local place = #values
    values[place + 1], values[place + 2] = P .. 'm:' .. id,
        packed_head(h) .. pack('>Hc0', #h.queue, h.queue) .. between .. blob
    return '1'
end

-- Remove the entries of former places, and wake who waits for new ones.
local function tidy()
    local queues = {}
    for _, step in ipairs(steps) do
        local id, h, old = step.id, step.h, step.old
        for _, key in ipairs({P .. 'r:' .. old.queue, scheduled_set(old.priority, old.queue)}) do
            if key ~= step.key then call('ZREM', key, id) end
        end
        queues[old.queue] = queues[old.queue] or 0
        if h.due - now < 1500000 then queues[h.queue] = (queues[h.queue] or 0) + 1 end
    end
    for queue, count in pairs(queues) do
        wake(queue, count)
        forget_if_empty(queue)
    end
end

-- Put the indexes back as they were: no value was written.
local function undo()
    for _, step in ipairs(steps) do
        if step.before then
            call('ZADD', step.key, step.before, step.id)
        else
            call('ZREM', step.key, step.id)
        end
        if step.old.expiring then
            call('ZADD', P .. 'exp', whole(step.old.expires), step.id)
        else
            call('ZREM', P .. 'exp', step.id)
        end
    end
end

local answers = {}
local done, problem = pcall(function()
    for i = 4, #ARGV, 6 do answers[#answers + 1] = edit(i) end
    if #values > 0 then call('MSET', unpack(values)) end
end)
if not done then
    undo()
    error(problem, 0)
end
if #values > 0 then pcall(tidy) end
return table.concat(answers)
