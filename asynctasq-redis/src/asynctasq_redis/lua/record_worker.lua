-- Record the heartbeat of a worker. ARGV: clock offset, id, description, microseconds until it is forgotten.

even_when_full()
local now = clock(tonumber(ARGV[1]))
local lives, described = P .. 'workers', P .. 'workers:described'
local gone = call('ZRANGEBYSCORE', lives, '-inf', whole(now), 'LIMIT', 0, BOUND)
local ttl = tonumber(ARGV[4])
local milliseconds = math.max(math.ceil(ttl / 1000), call('PTTL', lives))
call('ZADD', lives, whole(now + ttl), ARGV[2]) -- first: only listed workers are forgotten in time
call('PEXPIRE', lives, whole(milliseconds))
call('HSET', described, ARGV[2], ARGV[3])
call('PEXPIRE', described, whole(milliseconds))
call('PEXPIRE', P .. 'requests', whole(math.max(milliseconds, 3600000)))
local others = {}
for _, id in ipairs(gone) do
    if id ~= ARGV[2] then others[#others + 1] = id end
end
spread('HDEL', described, others)
spread('ZREM', lives, others)
