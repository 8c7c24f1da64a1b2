-- Messages in one state, in order: by queue as they are given, by priority (the highest first), due time and
-- id; dead ones by time of death and id, the newest first in listings of dead letters. ARGV: clock offset,
-- 'ready', 'scheduled', 'dead' or 'letters', how many at most; the position in the first queue after which
-- they stand: priority, time and id, or '' each; then queues (for dead ones one at most: '' for all).
-- Answers with 1 if there are no more in these queues, or with 0; then with the number of the queue,
-- priority, time and id of each. Nothing that it reads grows with the number of messages.

local now = clock(tonumber(ARGV[1]))
local state, most = ARGV[2], tonumber(ARGV[3])
local after = tonumber(ARGV[5]) and {priority = tonumber(ARGV[4]), time = tonumber(ARGV[5]), id = ARGV[6]}
local found = {}

-- Redis compares members by their bytes, and Lua by the locale of the server.
local function is_before(one, other)
    for i = 1, math.min(#one, #other) do
        local here, there = byte(one, i), byte(other, i)
        if here ~= there then return here < there end
    end
    return #one < #other
end

-- The rank of the first entry after a score and an id, whether or not that id is still in the set.
local function rank_after(key, score, id)
    local place = call('ZRANK', key, id)
    if place and tonumber(call('ZSCORE', key, id)) == score then return place + 1 end
    local low = call('ZCOUNT', key, '-inf', '(' .. whole(score))
    local high = low + call('ZCOUNT', key, whole(score), whole(score))
    while low < high do
        local middle = math.floor((low + high) / 2)
        if is_before(id, call('ZRANGE', key, middle, middle)[1]) then high = middle else low = middle + 1 end
    end
    return low
end

-- Entries of a sorted set from a score on and up to a score, after a position; with their times.
local function entries(key, from, to, shift, position)
    local first
    if position then
        first = rank_after(key, position.time + shift, position.id)
    else
        first = call('ZCOUNT', key, '-inf', '(' .. whole(from))
    end
    local rows = call('ZRANGE', key, first, first + most - 1, 'WITHSCORES')
    local list = {}
    for i = 1, #rows, 2 do
        local score = tonumber(rows[i + 1])
        if score > to then break end
        if score >= from then list[#list + 1] = {score - shift, rows[i]} end
    end
    return list
end

local current = 1 -- the queue that is being looked at

local function add(priority, time, id)
    local place = #found
    found[place + 1], found[place + 2] = current, priority
    found[place + 3], found[place + 4] = whole(time), id
end

local function is_full()
    return #found >= most * 4
end

-- A message that falls due moves from one set to the other, and keeps its place in this order.
local function add_merged(priority, one, other)
    local i, j = 1, 1
    while not is_full() and (one[i] or other[j]) do
        local a, b = one[i], other[j]
        if a and b and a[2] == b[2] then -- a call that failed left it in both
            j = j + 1
        elseif not b or a and (a[1] < b[1] or a[1] == b[1] and is_before(a[2], b[2])) then
            add(priority, a[1], a[2])
            i = i + 1
        else
            add(priority, b[1], b[2])
            j = j + 1
        end
    end
end

local function add_waiting(name, position)
    local scheduled = #scheduled_sets(name) > 0
    local ready = state == 'ready' and call('EXISTS', P .. 'r:' .. name) == 1
    for priority = position and position.priority or 9, 0, -1 do
        local own = position and position.priority == priority and position or nil
        local waiting, due = {}, {}
        if ready then
            local from = (9 - priority) * SPAN
            waiting = entries(P .. 'r:' .. name, from, from + SPAN - 1, from - EPOCH, own)
        end
        if scheduled then
            local from, to = -NO_TIME, now
            if state == 'scheduled' then from, to = now + 1, NO_TIME end
            due = entries(scheduled_set(priority, name), from, to, 0, own)
        end
        add_merged(priority, waiting, due)
        if is_full() then return end
    end
end

local function add_dead(key)
    for _, each in ipairs(entries(key, -NO_TIME, NO_TIME, 0, after)) do add(0, each[1], each[2]) end
end

local function add_newest(key)
    local last = call('ZCARD', key)
    if after then
        last = rank_after(key, after.time, after.id)
        if last > 0 and call('ZRANGE', key, last - 1, last - 1)[1] == after.id then last = last - 1 end
    end
    if last == 0 then return end
    local rows = call('ZRANGE', key, math.max(last - most, 0), last - 1, 'WITHSCORES')
    for i = #rows - 1, 1, -2 do add(0, tonumber(rows[i + 1]), rows[i]) end
end

for i = 7, #ARGV do
    local queue = ARGV[i]
    current = i - 6
    if state == 'dead' or state == 'letters' then
        local key = queue == '' and P .. 'dead' or P .. 'd:' .. queue
        if state == 'dead' then add_dead(key) else add_newest(key) end
    else
        add_waiting(queue, current == 1 and after or nil)
    end
    if is_full() then return {0, found} end
end
return {1, found}
