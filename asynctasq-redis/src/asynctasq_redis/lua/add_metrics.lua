-- Add the counts of a flush. ARGV: clock offset, source, number, number of rows; minute, field and counts of
-- each row, in order of the minutes; then a field and the latest outcomes for each queue.
--
-- The number of the flush is in the hash of each minute, written by the command that writes the counts. So a
-- flush that failed half-way can be repeated.

even_when_full()
local now, source, number = clock(tonumber(ARGV[1])), ARGV[2], tonumber(ARGV[3])
local numbers, seen = P .. 'ts', P .. 'tz'
local last = tonumber(call('HGET', numbers, source) or '-1')
if last and last >= number then return end
local rows = tonumber(ARGV[4])
local first, latest = first_minute(now), math.floor((now + 3600000000) / 60000000)

-- A task for which a minute has no room.
local function other(field)
    local length = unpack_from('>H', field)
    return sub(field, 1, 2 + length) .. 'other'
end

local function add_minute(minute, from, to)
    local key, mark = P .. 'tm:' .. whole(minute), OURS .. source
    local added = tonumber(call('HGET', key, mark) or '-1')
    if not added or added < number then
        local sums, order = {}, {}
        local room = MOST_FIELDS - call('HLEN', key)
        for at = from, to, 3 do
            local field = ARGV[at + 1]
            if not sums[field] then
                local known = call('HGET', key, field)
                if not known and room <= 0 then
                    field = other(field)
                    known = not sums[field] and call('HGET', key, field)
                end
                if not sums[field] then
                    if not known then room = room - 1 end
                    sums[field] = {}
                    order[#order + 1] = field
                    add_counts(sums[field], known)
                end
            end
            add_counts(sums[field], ARGV[at + 2])
        end
        local changes = {mark, whole(number)}
        for _, field in ipairs(order) do
            changes[#changes + 1] = field
            changes[#changes + 1] = packed_counts(sums[field])
        end
        call('HSET', key, unpack(changes))
    end
    index_counts(P .. 'tmi', key, minute)
end

local at, stop = 5, 4 + 3 * rows
while at <= stop do
    local minute, from = tonumber(ARGV[at]), at
    while at <= stop and tonumber(ARGV[at]) == minute do at = at + 3 end
    if minute >= first and minute <= latest then add_minute(minute, from, at - 1) end
end

local outcomes, times = P .. 'tr', P .. 'tri'
for place = stop + 1, #ARGV, 2 do
    call('ZADD', times, whole(now), ARGV[place]) -- first: only listed ones are forgotten in time
    call('HSET', outcomes, ARGV[place], ARGV[place + 1])
end
if #ARGV > stop then
    call('PEXPIRE', times, whole(KEPT))
    call('PEXPIRE', outcomes, whole(KEPT))
end
call('ZADD', seen, whole(now), source)
call('PEXPIRE', seen, whole(KEPT))
call('HSET', numbers, source, whole(number))
call('PEXPIRE', numbers, whole(KEPT))
