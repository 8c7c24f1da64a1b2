-- The fast path of `settle`, for completed plain messages whose results are not awaited, as nearly all are.
-- Otherwise it changes nothing, and `settle` runs from the beginning. It shares no functions with other
-- scripts, because creating those takes longer than a small call does.

local P, call, pack, unpack_from = KEYS[1], redis.call, struct.pack, struct.unpack
local MOST_COMPLETE = 4 -- see settle.lua

-- Return nil, without any change, if `settle` has to do it.
local function plain()
    call('DEL', P .. 'none')
    local runs, ids, place = {}, {}, 2
    while place <= #ARGV do
        local kind, token, ttl, length, carries = unpack_from('>BI8dHB', ARGV[place])
        if kind > MOST_COMPLETE or not (ttl > -1e16 and ttl < 1e16) then return nil end
        runs[#runs + 1] = {kind, token, ttl, length, place, carries == 1}
        local count = #ids
        for i = 1, length do ids[count + i] = ARGV[place + i] end
        place = place + 1 + length * (1 + carries)
    end
    if call('EXISTS', P .. 'awaited') == 1 then return nil end
    local leases = call('HMGET', P .. 'leases', unpack(ids))

    -- Leases of one reserve have equal bytes. A group has one owner and one queue.
    local groups, parsed, number = {}, {}, 0
    local last, current, several = nil, nil, false
    for _, run in ipairs(runs) do
        local token = run[2]
        for _ = 1, run[4] do
            number = number + 1
            local record = leases[number]
            if record ~= last then
                current = parsed[record]
                if not current then
                    if not record or #record < 65 then return nil end
                    local read, its_token, at, flags, owner, queue = pcall(unpack_from, '>I8dBHc0Hc0', record)
                    if not read or flags ~= 0 or not (at > -1e16 and at < 1e16) then return nil end
                    local name = queue .. '\0' .. owner
                    local group = groups[name]
                    if not group then
                        if call('EXISTS', P .. 'c:' .. owner) == 1 then return nil end
                        several = next(groups) ~= nil
                        group = {owner, queue, ids}
                        groups[name] = group
                    end
                    current = {its_token, group}
                    parsed[record] = current
                end
                last = record
            end
            if current[1] ~= token then return nil end
        end
    end
    if several then
        for _, group in pairs(groups) do group[3] = {} end
        for i, record in ipairs(leases) do
            local own = parsed[record][2][3]
            own[#own + 1] = ids[i]
        end
    end

    local time = call('TIME')
    local real_now = time[1] * 1000000 + time[2]
    local now, messages = real_now + ARGV[1], P .. 'm:'
    for _, run in ipairs(runs) do
        local kind, length, from = run[1], run[4], run[5]
        local kept = math.max(math.min(run[3], 1e9), 60) * 1000000
        local outcome = pack('>BBdd', 3, kind - 1, now, now + kept)
        local expires = string.format('%.0f', (real_now + kept) / 1000)
        for i = from + 1, from + length do
            local value = run[6] and outcome .. ARGV[i + length] or outcome
            call('SET', messages .. ARGV[i], value, 'PXAT', expires)
        end
    end
    call('HDEL', P .. 'leases', unpack(ids))
    for _, group in pairs(groups) do
        local own = group[3]
        call('HINCRBY', P .. 'queues', group[2], -#own)
        call('SREM', P .. 'o:' .. group[1], unpack(own))
    end
    return string.rep('1', number)
end
