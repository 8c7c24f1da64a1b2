-- Return 1 if there is a listener to events, and drop some old ones. ARGV: clock offset; then how long, how many and how
-- many bytes of batches are kept, and how many are dropped at once.

even_when_full()
local now, s = clock(tonumber(ARGV[1])), stream()
drop_batches(s, now, tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4]), tonumber(ARGV[5]))
return s['until'] > now and 1 or 0
