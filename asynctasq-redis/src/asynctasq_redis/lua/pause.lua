-- Pause a queue, or resume it. ARGV: clock offset, queue, 'pause' or 'resume'.

even_when_full()
if ARGV[3] == 'pause' then
    call('HSETNX', P .. 'paused', ARGV[2], whole(clock(tonumber(ARGV[1]))))
else
    call('HDEL', P .. 'paused', ARGV[2])
    wake(ARGV[2], 100)
end
