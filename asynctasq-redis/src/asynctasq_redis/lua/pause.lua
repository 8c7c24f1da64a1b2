-- Pause a queue, or resume it. ARGV: clock offset, queue, 'pause' or 'resume'.

even_when_full()
if ARGV[3] == 'pause' then
    call('HSETNX', P .. 'paused', ARGV[2], whole(clock(tonumber(ARGV[1]))))
    if call('EXISTS', OLD .. 'workers', OLD .. 'queues', OLD .. 'leases') > 0 then -- old processes live
        call('SADD', OLD .. 'paused', ARGV[2])
    end
else
    call('HDEL', P .. 'paused', ARGV[2])
    call('SREM', OLD .. 'paused', ARGV[2])
    wake(ARGV[2], 100)
end
