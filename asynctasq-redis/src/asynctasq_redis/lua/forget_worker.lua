-- A worker has ended. ARGV: its id.

call('ZREM', P .. 'workers', ARGV[1])
call('HDEL', P .. 'workers:described', ARGV[1])
