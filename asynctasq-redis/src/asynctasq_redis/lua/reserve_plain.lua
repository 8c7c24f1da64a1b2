-- The fast path of `reserve`, for calls without anything unusual, as nearly all are. Otherwise it changes
-- nothing, and `reserve` runs from the beginning. It shares no functions with other scripts, because creating
-- those takes longer than most calls do. reserve.lua gives the reasons of the same decisions.

local P, call, unpack_from = KEYS[1], redis.call, struct.unpack
local OLD_QUEUES = string.sub(P, 1, -3) .. 'queues' -- see adopt.lua
local byte, sub, format = string.byte, string.sub, string.format
local REST = 1000000 -- microseconds between two sweeps while there are messages to reserve
local IDLE_REST = 50000 -- and while there are none
local LONGEST_REST = 5000000 -- and after a sweep that failed
local FIRST_STEP, LONGEST_STEP = 8, 64 -- messages that are read before their sizes are added up
local MOST_BYTES = 8 * 1024 * 1024
local ARGUMENTS = 4000

-- Return whether upkeep has something to do.
local function is_overdue(now)
    if call('EXISTS', P .. 'big', OLD_QUEUES) > 0 then return true end
    if #call('ZRANGEBYSCORE', P .. 'exp', '-inf', now, 'LIMIT', 0, 1) > 0 then return true end
    if call('ZCARD', P .. 'dead') > tonumber(ARGV[6]) then return true end
    local oldest = call('ZRANGE', P .. 'dead', 0, 0, 'WITHSCORES')[2]
    if oldest and tonumber(oldest) <= now - ARGV[5] then return true end
    for i = 7, #ARGV, 2 do
        for priority = 0, 9 do
            local key = P .. 's' .. priority .. ':' .. ARGV[i]
            if #call('ZRANGEBYSCORE', key, '-inf', now, 'LIMIT', 0, 1) > 0 then return true end
        end
    end
    return false
end

-- Return nil, without any change, if `reserve` has to do it.
local function plain()
    call('DEL', P .. 'none')
    local time = call('TIME')
    local now = time[1] * 1000000 + time[2] + ARGV[1]
    local limit, length, owner = tonumber(ARGV[2]), tonumber(ARGV[3]), ARGV[4]
    local upkeep = call('HMGET', P .. 'upkeep', 'mark', 'pause', 'swept')
    local mark, pause, swept = tonumber(upkeep[1]), tonumber(upkeep[2]), tonumber(upkeep[3])
    if not (mark and pause and swept) then return nil end
    local marked = mark <= now and now - mark < length / 8 and (pause < mark or pause > now)
    if not (marked and now - swept < REST and swept <= now + LONGEST_REST) then return nil end
    local deadline = format('%.0f', now + length)
    local renewed = call('ZADD', P .. 'owners', 'XX', 'GT', 'CH', deadline, owner) == 1
    local moment = format('%.0f', now)
    if #call('ZRANGEBYSCORE', P .. 'owners', '-inf', moment, 'LIMIT', 0, 1) > 0 then return nil end
    local rare = {P .. 'exp', P .. 'dead', P .. 'paused', P .. 'big', OLD_QUEUES}
    for i = 7, #ARGV, 2 do
        for priority = 0, 9 do rare[#rare + 1] = P .. 's' .. priority .. ':' .. ARGV[i] end
    end
    local any_paused = false
    if call('EXISTS', unpack(rare)) > 0 then
        if is_overdue(moment) then return nil end
        any_paused = call('EXISTS', P .. 'paused') == 1
    end

    local deliveries, leases, owned, taken_of = {}, {}, {}, {}
    local taken, room, prefix = 0, MOST_BYTES, P .. 'm:'
    for number = 7, #ARGV, 2 do
        local queue = ARGV[number]
        local most = math.min(tonumber(ARGV[number + 1]), limit - taken)
        if any_paused and call('HEXISTS', P .. 'paused', queue) == 1 then most = 0 end
        local known_as = struct.pack('>Hc0', #queue, queue)
        local queue_to = 55 + #known_as
        local found, step, made, begun, lease = 0, FIRST_STEP, {}, nil, nil
        while found < most and room > 0 do
            local ids = call('ZRANGE', P .. 'r:' .. queue, found, found + math.min(step, most - found) - 1)
            local count = #ids
            if count == 0 then break end
            local keys = {}
            for i = 1, count do keys[i] = prefix .. ids[i] end
            local values = call('MGET', unpack(keys))
            local held = call('HMGET', P .. 'leases', unpack(ids))
            for i = 1, count do
                local value, id = values[i], ids[i]
                if not value or held[i] or #id ~= 16 or sub(value, 56, queue_to) ~= known_as then
                    return nil
                end
                local begins = sub(value, 1, 10)
                if begins ~= begun then
                    begun, lease = begins, made[begins]
                end
                if not lease then
                    local state, flags = byte(value, 1, 2)
                    local token = unpack_from('>I8', value, 3) + 1
                    if state ~= 1 or flags > 1 or token > 9e15 then return nil end
                    if token < now then token = now end
                    lease = struct.pack('>I8dBHc0Hc0d', token, now, flags, #owner, owner, #queue, queue, length)
                    lease = lease .. string.rep('\0', 65 - #lease)
                    made[begins] = lease
                end
                room = room - #value
                local place = taken * 2 + 1
                taken = taken + 1
                leases[place], leases[place + 1] = id, lease
                deliveries[place], deliveries[place + 1] = id, value
                owned[taken] = id
            end
            found = found + count
            step = math.min(step * 2, LONGEST_STEP)
        end
        if found > 0 then
            taken_of[#taken_of + 1] = queue
            taken_of[#taken_of + 1] = found
        end
    end

    if taken == 0 then
        if now - swept >= IDLE_REST then return nil end
        for i = 7, #ARGV, 2 do
            if call('HGET', P .. 'queues', ARGV[i]) == '0' then return nil end -- `reserve` forgets it
        end
        return {moment, {}, {}, {}}
    end
    if not renewed then call('ZADD', P .. 'owners', 'GT', deadline, owner) end
    for i = 1, #taken_of, 2 do call('HINCRBY', P .. 'queues', taken_of[i], taken_of[i + 1]) end
    for from = 1, taken, ARGUMENTS do
        call('SADD', P .. 'o:' .. owner, unpack(owned, from, math.min(from + ARGUMENTS - 1, taken)))
    end
    for from = 1, taken * 2, ARGUMENTS do
        call('HSET', P .. 'leases', unpack(leases, from, math.min(from + ARGUMENTS - 1, taken * 2)))
    end
    for i = 1, #taken_of, 2 do
        call('ZREMRANGEBYRANK', P .. 'r:' .. taken_of[i], 0, taken_of[i + 1] - 1)
    end
    return {moment, deliveries, {}, {}}
end
