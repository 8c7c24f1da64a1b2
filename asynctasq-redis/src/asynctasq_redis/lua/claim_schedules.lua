-- Claim schedules that are due. ARGV: clock offset, limit, microseconds for which they are hidden. Returns the
-- time, when the next schedule can be claimed ('' if there is none), the ids of damaged schedules, and for each
-- schedule what `schedule_row` returns.

local now = clock(tonumber(ARGV[1]))
local limit, hidden_until = tonumber(ARGV[2]), now + tonumber(ARGV[3])
local claimed, damaged = {}, {}
local changed, gone, finished, unknown = {}, {}, {}, {}
local looked, bytes = 0, 0

local function set_time(id, time)
    local place = #changed
    changed[place + 1], changed[place + 2] = time, id
end

local function look_at(id)
    local row = schedule_row(id)
    local s = row and unpack_state(row[3])
    if not row then
        unknown[#unknown + 1] = id
    elseif not s or row[1] == '' then
        damaged[#damaged + 1] = id
        gone[#gone + 1] = id
    elseif not is_active(s) then
        gone[#gone + 1] = id
    elseif s.due > now then -- a step that failed has left an earlier time
        set_time(id, whole(s.due))
    elseif not s.next_at then
        finished[#finished + 1] = id
    else
        set_time(id, whole(hidden_until + #claimed)) -- a later claim has the same order
        claimed[#claimed + 1] = row
        bytes = bytes + #row[1] + #row[2]
    end
end

while #claimed < limit and looked < BOUND and bytes < MOST_BYTES do
    local ids = call('ZRANGEBYSCORE', AT, '-inf', whole(now), 'LIMIT', looked, limit - #claimed)
    if #ids == 0 then break end
    looked = looked + #ids
    for _, id in ipairs(ids) do look_at(id) end
end

spread('ZADD', AT, changed)
spread('ZREM', AT, gone)
for _, id in ipairs(finished) do call('DEL', P .. 'a:' .. id) end
for _, ids in ipairs({finished, unknown}) do
    spread('ZREM', AN, ids)
    spread('ZREM', AT, ids)
end
local first = call('ZRANGE', AT, 0, 0, 'WITHSCORES')
return {whole(now), first[2] or '', damaged, claimed}
