-- A piece of the ids in one state of one queue. ARGV: clock offset, queue, state, position. Answers
-- with ids; fewer than are asked for at the end.

local now = whole(clock(tonumber(ARGV[1])))
local queue, state, from = ARGV[2], ARGV[3], tonumber(ARGV[4])
local ids = {}

local function scheduled(low, high, offset, most)
    local found = call('ZRANGEBYSCORE', P .. 's:' .. queue, low, high, 'LIMIT', offset, most)
    for _, member in ipairs(found) do ids[#ids + 1] = sub(member, 2) end
end

if state == 'ready' then
    ids = call('ZRANGE', P .. 'r:' .. queue, from, from + BOUND - 1)
    if #ids < BOUND then
        local ready = call('ZCARD', P .. 'r:' .. queue)
        scheduled('-inf', now, math.max(from - ready, 0), BOUND - #ids)
    end
elseif state == 'scheduled' then
    scheduled('(' .. now, '+inf', from, BOUND)
elseif state == 'dead' then
    ids = call('ZRANGE', P .. 'd:' .. queue, from, from + BOUND - 1)
end
return ids
