-- Delete messages of a queue, a bounded piece of it. ARGV: clock offset, queue, state. Answers with
-- how many they were.

local now = whole(clock(tonumber(ARGV[1])))
local queue, state = ARGV[2], ARGV[3]
local ready, dead = P .. 'r:' .. queue, P .. 'd:' .. queue
local ids = {}

local function take_scheduled(from, to)
    for _, key in ipairs(scheduled_sets(queue)) do
        for _, id in ipairs(call('ZRANGEBYSCORE', key, from, to, 'LIMIT', 0, BOUND - #ids)) do
            ids[#ids + 1] = id
            call('ZREM', key, id)
        end
    end
end

if state == 'ready' then
    ids = call('ZRANGE', ready, 0, BOUND - 1)
    if #ids > 0 then call('ZREMRANGEBYRANK', ready, 0, #ids - 1) end
    if #ids < BOUND then take_scheduled('-inf', now) end
elseif state == 'scheduled' then
    take_scheduled('(' .. now, '+inf')
elseif state == 'dead' then
    ids = call('ZRANGE', dead, 0, BOUND - 1)
end
for _, id in ipairs(ids) do
    local h = head(id)
    if h then
        if state == 'dead' then leave_dead(id, h) end
        delete(id, h, true)
    end
end
forget_if_empty(queue)
return #ids
