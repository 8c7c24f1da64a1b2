-- Remove a worker from the registry. ARGV: its id.

call('HDEL', P .. 'workers:described', ARGV[1])
call('ZREM', P .. 'workers', ARGV[1])
