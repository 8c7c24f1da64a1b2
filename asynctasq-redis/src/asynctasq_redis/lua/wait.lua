-- Look for work; if there is none, register for notifications. ARGV: clock offset, instance, queues. Returns 0
-- if there is something to reserve, otherwise the microseconds until there may be.

even_when_full()
local now = clock(tonumber(ARGV[1]))
local instance = ARGV[2]
local next_event = 3600000000
local any_paused = call('EXISTS', P .. 'paused') == 1
local listening = {}

local function sooner(key)
    local first = call('ZRANGE', key, 0, 0, 'WITHSCORES')
    if #first > 0 then next_event = math.min(next_event, tonumber(first[2]) - now) end
end

sooner(P .. 'owners')
local pause = tonumber(call('HGET', P .. 'upkeep', 'pause'))
if pause and pause > now and pause - now < NO_TIME and next_event < 3600000000 then
    next_event = math.max(next_event, pause - now) -- no lease ends before that
end
for i = 3, #ARGV do
    local queue = ARGV[i]
    if not (any_paused and call('HEXISTS', P .. 'paused', queue) == 1) then
        if call('EXISTS', P .. 'r:' .. queue, OLD .. 'r:' .. queue) > 0 then return 0 end
        for _, key in ipairs(scheduled_sets(queue)) do sooner(key) end
    end
end
if next_event <= 0 then return 0 end
for i = 3, #ARGV do
    local key = P .. 'i:' .. ARGV[i]
    call('ZREMRANGEBYSCORE', key, '-inf', whole(now - 3000000))
    call('ZADD', key, whole(now), instance)
    call('PEXPIRE', key, 3000)
end
return math.max(math.floor(next_event), 1)
