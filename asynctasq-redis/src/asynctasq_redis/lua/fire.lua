-- Fire schedules. ARGV: clock offset, number of firings; for each the id and its numbers; then the messages of all
-- firings, as enqueue.lua takes them without the offset. Returns '1' or '0' for each firing.
--
-- The messages are stored first. A firing that failed half-way can be repeated, and its messages are known then.

local NUMBERS = '>I4dBdI4' -- revision, planned, whether there is a next time, the next time, number of messages
local args = ARGV
local now = clock(tonumber(args[1]))
local count = tonumber(args[2])
local states, order, answers, numbers = {}, {}, {}, {}
local all_fire, messages = true, 0

local function fires(s, revision, planned)
    return s and is_active(s) and s.revision == revision and s.next_at == planned
end

for number = 1, count do
    local id = args[1 + 2 * number]
    local revision, planned, has_next, next_at, carried = unpack_from(NUMBERS, args[2 + 2 * number])
    local s = states[id]
    if s == nil then
        local key = P .. 'a:' .. id
        s = unpack_state(call('HGET', key, 's')) or false
        states[id] = s
        if s then s.key = key end
    end
    numbers[number] = carried
    if fires(s, revision, planned) then
        set_next(s, has_next == 1 and next_at or nil, now)
        if carried > 0 then
            s.fired = now
            s.flags = bor(s.flags, HAS_FIRED)
        end
        if not s.changed then order[#order + 1] = id end
        s.changed = true
        answers[number] = '1'
        messages = messages + carried
    else
        answers[number] = '0'
        all_fire = false
    end
end

-- Return the arguments of an enqueue of the messages of firings that fire.
local function arguments_from(first)
    local list, has_key = {args[1], args[first], args[first + 1]}, {}
    local at = first + 2
    for profile = 1, tonumber(args[first + 1]) do
        has_key[profile] = byte(args[at], -1) == 1
        list[2 + 2 * profile], list[3 + 2 * profile] = args[at], args[at + 1]
        at = at + 2
    end
    local number, left = 1, numbers[1]
    while at <= #args do
        local profile, length = unpack_from('>HH', args[at])
        local place, kept = #list + 1, 0
        local size = has_key[profile] and 3 or 2
        list[place] = ''
        at = at + 1
        for _ = 1, length do
            while left == 0 do
                number = number + 1
                left = numbers[number]
            end
            left = left - 1
            if answers[number] == '1' then
                for part = at, at + size - 1 do list[#list + 1] = args[part] end
                kept = kept + 1
            end
            at = at + size
        end
        list[place] = kept > 0 and pack('>HH', profile, kept) or nil
    end
    return list
end

local function all_arguments_from(first)
    local list = {args[1]}
    for at = first, #args do list[at - first + 2] = args[at] end
    return list
end

if messages > 0 then
    local arguments_of = all_fire and all_arguments_from or arguments_from
    local answer = enqueue(arguments_of(3 + 2 * count))
    if type(answer) == 'table' and answer.err then return answer end
end
-- If this fails half-way, a schedule may stay hidden until the end of its claim.
local due, last, text = {}, nil, nil
for number, id in ipairs(order) do
    local s = states[id]
    call('HSET', s.key, 's', packed_state(s))
    if s.due ~= last then last, text = s.due, whole(s.due) end
    due[2 * number - 1], due[2 * number] = text, id
end
spread('ZADD', AT, due)
return table.concat(answers)
