-- Keep a request about workers. ARGV: clock offset, request, microseconds for which requests are kept if their workers
-- leave, number of owners, these owners, and the owners of all workers in the registry. Returns the requests that hold,
-- with their times.

even_when_full()
local now = clock(tonumber(ARGV[1]))
local request, kept, last = ARGV[2], tonumber(ARGV[3]), 4 + tonumber(ARGV[4])
local key = P .. 'requests'
local living, old = {}, {}
for at = 5, #ARGV do living[ARGV[at]] = true end
local stored = call('HGETALL', key) -- a few: only owners that operators have named
for at = 1, #stored, 2 do
    local since = tonumber(string.match(stored[at + 1], ':(%d+)$')) or 0
    if not living[stored[at]] and since < now - kept then old[#old + 1] = stored[at] end
end
local answers = {}
for at = 5, last do
    local held = call('HGET', key, ARGV[at])
    if not held or sub(held, 1, 2) ~= '2:' then -- no request follows one to stop
        held = request .. ':' .. whole(now)
        call('HSET', key, ARGV[at], held)
    end
    answers[#answers + 1] = held
end
call('PEXPIRE', key, whole(math.max(call('PTTL', key), math.ceil(kept / 1000)))) -- heartbeats prolong it
spread('HDEL', key, old)
return answers
