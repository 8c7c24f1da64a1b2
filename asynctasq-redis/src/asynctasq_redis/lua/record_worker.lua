-- Tell that a worker lives. ARGV: clock offset, id, description, microseconds until it is forgotten.

even_when_full()
local now = clock(tonumber(ARGV[1]))
local lives, described = P .. 'workers', P .. 'workers:described'
local gone = call('ZRANGEBYSCORE', lives, '-inf', whole(now), 'LIMIT', 0, BOUND)
if #gone > 0 then
    call('ZREM', lives, unpack(gone))
    call('HDEL', described, unpack(gone))
end
local ttl = tonumber(ARGV[4])
call('ZADD', lives, whole(now + ttl), ARGV[2])
call('HSET', described, ARGV[2], ARGV[3])
local milliseconds = math.max(math.ceil(ttl / 1000), call('PTTL', lives))
call('PEXPIRE', lives, whole(milliseconds))
call('PEXPIRE', described, whole(milliseconds))
