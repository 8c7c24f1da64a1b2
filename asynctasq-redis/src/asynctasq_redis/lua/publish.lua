-- Add a batch of events, and notify listeners. ARGV: clock offset, batch, and milliseconds for which it is kept at most.
--
-- The state is written last, so a batch that was added by a call that failed half-way is not seen.

local now, s = clock(tonumber(ARGV[1])), stream()
local awaiting = call('SMEMBERS', P .. 'events:awaited')
local number, size = s.last + 1, s.size + #ARGV[2]
call('SET', P .. 'v:' .. whole(number), pack(STREAM_HEAD, now, size) .. ARGV[2], 'PX', ARGV[3])
set_stream('last', whole(number), 'size', whole(size))
for _, instance in ipairs(awaiting) do push(instance, 'e') end
