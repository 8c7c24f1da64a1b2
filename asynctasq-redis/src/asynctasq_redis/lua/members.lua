-- List ids of messages in one state. They are ordered by queue (as given), priority (the highest first), due
-- time and id; dead ones by time of death and id, and in listings of dead letters the newest first. ARGV: clock
-- offset; 'ready', 'scheduled', 'dead' or 'letters'; the maximum number; the position in the first queue after
-- which they follow: priority, time and id, or '' each; then queues ('' alone for dead ones of all queues).
-- Returns 1 if these queues have no more, otherwise 0; then for each run of messages the number of the queue,
-- the priority, the difference between scores and times, and ids and scores in turn. Its cost does not grow
-- with the number of messages.

local now = clock(tonumber(ARGV[1]))
local state, most = ARGV[2], tonumber(ARGV[3])
local after = tonumber(ARGV[5]) and {priority = tonumber(ARGV[4]), time = tonumber(ARGV[5]), id = ARGV[6]}
local runs, count = {}, 0

-- Redis compares members by their bytes, but Lua uses the locale of the server.
local function is_before(one, other)
    for i = 1, math.min(#one, #other) do
        local here, there = byte(one, i), byte(other, i)
        if here ~= there then return here < there end
    end
    return #one < #other
end

-- Return the rank of the first entry after a score and an id, whether or not that id is still in the set.
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

-- Return ids and scores of a sorted set between two scores, after a position.
local function entries(key, from, to, shift, position)
    local first
    if position then
        first = rank_after(key, position.time + shift, position.id)
    else
        first = call('ZCOUNT', key, '-inf', '(' .. whole(from))
    end
    local rows = call('ZRANGE', key, first, first + most - count - 1, 'WITHSCORES')
    while #rows > 0 and tonumber(rows[#rows]) > to do
        rows[#rows] = nil
        rows[#rows] = nil
    end
    if #rows > 0 and tonumber(rows[2]) < from then return {} end -- the position is that of a damaged entry
    return rows
end

local current = 1 -- the number of the queue

local function add(priority, shift, rows)
    if #rows == 0 then return end
    local at = #runs
    runs[at + 1], runs[at + 2], runs[at + 3], runs[at + 4] = current, priority, shift, rows
    count = count + #rows / 2
end

local function is_full()
    return count >= most
end

-- Merge ready messages and due ones. A message keeps its place in this order when it is promoted.
local function merged(one, shift, other)
    local rows, i, j = {}, 1, 1
    while #rows / 2 < most - count and (one[i] or other[j]) do
        local here = one[i] and tonumber(one[i + 1]) - shift
        local there = other[j] and tonumber(other[j + 1])
        if here and there and one[i] == other[j] then -- a call that failed left it in both
            j = j + 2
        elseif not there or here and (here < there or here == there and is_before(one[i], other[j])) then
            rows[#rows + 1], rows[#rows + 2] = one[i], whole(here)
            i = i + 2
        else
            rows[#rows + 1], rows[#rows + 2] = other[j], whole(there)
            j = j + 2
        end
    end
    return rows
end

local function add_waiting(name, position)
    local scheduled = #scheduled_sets(name) > 0
    local ready = state == 'ready' and call('EXISTS', P .. 'r:' .. name) == 1
    for priority = position and position.priority or 9, 0, -1 do
        local own = position and position.priority == priority and position or nil
        local from, waiting, due = (9 - priority) * SPAN, {}, {}
        local shift = from - EPOCH
        if ready then waiting = entries(P .. 'r:' .. name, from, from + SPAN - 1, shift, own) end
        if scheduled then
            local first, last = -NO_TIME, now
            if state == 'scheduled' then first, last = now + 1, NO_TIME end
            due = entries(scheduled_set(priority, name), first, last, 0, own)
        end
        if #due == 0 then
            add(priority, shift, waiting)
        elseif #waiting == 0 then
            add(priority, 0, due)
        else
            add(priority, 0, merged(waiting, shift, due))
        end
        if is_full() then return end
    end
end

local function add_newest(key)
    local last = call('ZCARD', key)
    if after then
        last = rank_after(key, after.time, after.id)
        if last > 0 and call('ZRANGE', key, last - 1, last - 1)[1] == after.id then last = last - 1 end
    end
    if last == 0 then return end
    local rows = call('ZRANGE', key, math.max(last - most, 0), last - 1, 'WITHSCORES')
    local newest_first = {}
    for i = #rows - 1, 1, -2 do
        local at = #newest_first
        newest_first[at + 1], newest_first[at + 2] = rows[i], rows[i + 1]
    end
    add(0, 0, newest_first)
end

for i = 7, #ARGV do
    local queue = ARGV[i]
    current = i - 6
    if state == 'dead' then
        add(0, 0, entries(queue == '' and P .. 'dead' or P .. 'd:' .. queue, -NO_TIME, NO_TIME, 0, after))
    elseif state == 'letters' then
        add_newest(queue == '' and P .. 'dead' or P .. 'd:' .. queue)
    else
        add_waiting(queue, current == 1 and after or nil)
    end
    if is_full() then return {0, runs} end
end
return {1, runs}
