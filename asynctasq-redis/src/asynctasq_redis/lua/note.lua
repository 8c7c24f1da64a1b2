-- Keep notes about messages that a broker holds. ARGV: clock offset; then for each its id, the number of the
-- fact, seconds for which it is kept, and its value.

even_when_full()
local now = clock(tonumber(ARGV[1]))
for at = 2, #ARGV, 4 do
    if not past_of(ARGV[at], now) then
        keep_fact(ARGV[at], tonumber(ARGV[at + 1]), tonumber(ARGV[at + 2]), ARGV[at + 3], now)
    end
end
