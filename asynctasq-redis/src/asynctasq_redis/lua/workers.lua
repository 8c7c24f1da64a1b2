-- List the descriptions of workers whose heartbeat has not run out. ARGV: clock offset.

local now = clock(tonumber(ARGV[1]))
local ids = call('ZRANGEBYSCORE', P .. 'workers', '(' .. whole(now), '+inf')
if #ids == 0 then return {} end
return call('HMGET', P .. 'workers:described', unpack(ids, 1, math.min(#ids, ARGUMENTS)))
