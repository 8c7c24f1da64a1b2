-- A worker has ended. ARGV: its id.

call('HDEL', P .. 'workers:described', ARGV[1])
call('ZREM', P .. 'workers', ARGV[1])
