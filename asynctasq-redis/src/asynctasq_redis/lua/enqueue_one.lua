-- Store one small message that is ready, without a unique key and an expiry: most dispatches are of this
-- kind. The script shares no functions with others, because creating those would take longer than its work.
-- ARGV: clock offset, priority, max_lost, result_ttl, queue, id, bytes. Returns 1 if the message is new; 0,
-- without any change, if its id is taken. The value is written last: until then, the message is not accepted,
-- and entries without a value are dropped.

local P, call = KEYS[1], redis.call
local queue, id = ARGV[5], ARGV[6]
local time = call('TIME')
local now = time[1] * 1000000 + time[2] + ARGV[1]
local head = struct.pack('>BBI8I4I4I4BddddHc0', 1, 0, 0, 0, 0, ARGV[3], ARGV[2], now, now, 0, ARGV[4],
    #queue, queue)
local span, since = 900000000000000, now - 1735689600000000
if since < 0 then since = 0 elseif since >= span then since = span - 1 end
local rank = string.format('%.0f', (9 - ARGV[2]) * span + since)
local key = P .. 'm:' .. id
local old_key = string.sub(P, 1, -3) .. 'm:' .. id -- see `is_known` in common.lua
if call('EXISTS', key, old_key) > 0 then return 0 end
call('HINCRBY', P .. 'queues', queue, 0)
call('ZADD', P .. 'r:' .. queue, rank, id)
call('SET', key, head .. ARGV[7])
local waiting = call('ZREVRANGE', P .. 'i:' .. queue, 0, 0)[1]
while waiting do
    call('ZREM', P .. 'i:' .. queue, waiting)
    if redis.pcall('PUBLISH', P .. 'p:' .. waiting, 'q' .. queue) ~= 0 then break end
    waiting = call('ZREVRANGE', P .. 'i:' .. queue, 0, 0)[1] -- that instance has gone
end
return 1
