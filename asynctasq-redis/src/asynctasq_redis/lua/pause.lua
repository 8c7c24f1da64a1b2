-- Pause a queue, or resume it. ARGV: queue, 'pause' or 'resume'.

even_when_full()
if ARGV[2] == 'pause' then
    call('SADD', P .. 'paused', ARGV[1])
else
    call('SREM', P .. 'paused', ARGV[1])
    wake(ARGV[1], 100)
end
