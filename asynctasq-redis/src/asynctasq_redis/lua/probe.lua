-- Try every command and option that the scripts use, on keys of its own, and delete those. Returns each
-- command that failed, with its arguments, and the error.

local key = KEYS[1] .. 'probe:'
local failed = {}

-- '@' stands for a key.
local function try(command, ...)
    local arguments = {...}
    for i, argument in ipairs(arguments) do
        local name = string.match(argument, '^@(.*)$')
        if name then arguments[i] = key .. name end
    end
    local answer = redis.pcall(command, unpack(arguments))
    if type(answer) == 'table' and answer.err then
        failed[#failed + 1] = table.concat({command, ...}, ' ')
        failed[#failed + 1] = answer.err
        return false
    end
    return true
end

-- This is the first command: after it, a full server accepts the others, and without it keys would remain.
if not try('DEL', '@none') then return failed end
try('TIME')
try('SET', '@t', 'value')
try('SET', '@t', 'value', 'PX', '60000')
try('SET', '@t', 'value', 'PXAT', '32503680000000')
try('GET', '@t')
try('MSET', '@t', 'value', '@t', 'value')
try('MGET', '@t')
try('EXISTS', '@t')
try('STRLEN', '@t')
try('GETRANGE', '@t', '0', '1')
try('SETRANGE', '@t', '0', 'v')
try('PEXPIRE', '@t', '60000')
try('PTTL', '@t')
try('RENAME', '@t', '@u')
try('HSET', '@h', 'f', '1')
try('HSETNX', '@h', 'f', '1')
try('HINCRBY', '@h', 'f', '1')
try('HGET', '@h', 'f')
try('HMGET', '@h', 'f')
try('HGETALL', '@h')
try('HKEYS', '@h')
try('HVALS', '@h')
try('HRANDFIELD', '@h', '1')
try('HLEN', '@h')
try('HEXISTS', '@h', 'f')
try('HSCAN', '@h', '0', 'COUNT', '1')
try('HDEL', '@h', 'f')
try('SADD', '@s', 'm')
try('SCARD', '@s')
try('SMEMBERS', '@s')
try('SISMEMBER', '@s', 'm')
try('SRANDMEMBER', '@s', '1')
try('SSCAN', '@s', '0', 'COUNT', '1')
try('SREM', '@s', 'm')
try('ZADD', '@z', '1', 'm')
try('ZADD', '@z', 'NX', '1', 'm')
try('ZADD', '@z', 'GT', '1', 'm')
try('ZADD', '@z', 'LT', '1', 'm')
try('ZADD', '@z', 'XX', 'GT', '1', 'm')
try('ZADD', '@z', 'XX', 'GT', 'CH', '1', 'm')
try('ZCARD', '@z')
try('ZCOUNT', '@z', '-inf', '1')
try('ZSCORE', '@z', 'm')
try('ZRANK', '@z', 'm')
try('ZRANGE', '@z', '0', '0', 'WITHSCORES')
try('ZRANGEBYSCORE', '@z', '-inf', '1', 'WITHSCORES', 'LIMIT', '0', '1')
try('ZRANGEBYLEX', '@z', '-', '+', 'LIMIT', '0', '1')
try('ZREVRANGE', '@z', '0', '0', 'WITHSCORES')
try('ZREVRANGEBYSCORE', '@z', '1', '-inf', 'WITHSCORES', 'LIMIT', '0', '1')
try('ZRANDMEMBER', '@z', '1')
try('ZSCAN', '@z', '0', 'COUNT', '1')
try('ZREM', '@z', 'm')
try('ZREMRANGEBYRANK', '@z', '0', '0')
try('ZREMRANGEBYSCORE', '@z', '-inf', '1')
try('SCAN', '0', 'MATCH', '@*', 'COUNT', '1')
redis.call('DEL', key .. 't', key .. 'u', key .. 'h', key .. 's', key .. 'z')
return failed
