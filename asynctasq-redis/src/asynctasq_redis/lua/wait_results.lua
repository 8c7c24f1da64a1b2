-- Look for outcomes, and be told of them otherwise. ARGV: clock offset, instance, ids. Answers with 1
-- if one of them has ended.

even_when_full()
local now = clock(tonumber(ARGV[1]))
for i = 3, #ARGV do
    local known, state = is_known(ARGV[i], now)
    if known and state ~= WAITING then return 1 end
end
call('SET', P .. 'awaited', 1, 'PX', 3000)
for i = 3, #ARGV do
    local key = P .. 'w:' .. ARGV[i]
    call('SADD', key, ARGV[2])
    call('PEXPIRE', key, 3000)
end
return 0
