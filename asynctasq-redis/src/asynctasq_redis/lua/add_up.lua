-- Add up minutes to hours that are more than a day old, a few of them, and delete what is too old. ARGV: clock
-- offset.
--
-- The hash of an hour names the minute that is being added, written by the command that writes its counts. So a
-- step that failed half-way can be repeated.

even_when_full()
local now = clock(tonumber(ARGV[1]))
local ADDING = OURS .. 'adding'
local minutes, hours = P .. 'tmi', P .. 'thi'

local function add_up(minute)
    local key = P .. 'tm:' .. whole(minute)
    local hour = minute - minute % 60
    local hour_key = P .. 'th:' .. whole(hour)
    local rows = call('HGETALL', key)
    if #rows > 0 and call('HGET', hour_key, ADDING) ~= whole(minute) then
        local changes = {ADDING, whole(minute)}
        for i = 1, #rows, 2 do
            local field = rows[i]
            if not is_ours(field) then
                local sums = {}
                add_counts(sums, call('HGET', hour_key, field))
                add_counts(sums, rows[i + 1])
                changes[#changes + 1] = field
                changes[#changes + 1] = packed_counts(sums)
            end
        end
        call('HSET', hour_key, unpack(changes))
    end
    index_counts(hours, hour_key, hour)
    call('DEL', key)
    call('HDEL', hour_key, ADDING)
    call('ZREM', minutes, whole(minute))
    return #rows / 2
end

local done = 0
while done < BOUND do
    local old = call('ZRANGEBYSCORE', minutes, '-inf', whole(first_minute(now) - 1), 'LIMIT', 0, 1)
    if #old == 0 then break end
    done = done + 1 + add_up(tonumber(old[1]))
end

local too_old = math.floor((now - 30 * 86400000000) / 60000000)
for _, start in ipairs(call('ZRANGEBYSCORE', hours, '-inf', whole(too_old - 1), 'LIMIT', 0, 10)) do
    call('DEL', P .. 'th:' .. start)
    call('ZREM', hours, start)
end

local function forget(index, key)
    local gone = call('ZRANGEBYSCORE', index, '-inf', whole(now - 86400000000), 'LIMIT', 0, BOUND)
    spread('HDEL', key, gone)
    spread('ZREM', index, gone)
end

forget(P .. 'tz', P .. 'ts')
forget(P .. 'tri', P .. 'tr')
