-- A piece of the leases. ARGV: position, about how many. Answers with the next position (0 at the end)
-- and with ids and leases in turn.

return call('HSCAN', P .. 'leases', ARGV[1], 'COUNT', ARGV[2])
