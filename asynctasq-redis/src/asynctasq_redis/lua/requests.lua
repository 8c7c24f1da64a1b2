-- List the leases of an owner that are flagged to be cancelled, and the request about its worker. ARGV: owner. Returns
-- ids and tokens in turn, and the request with its time; an empty text if there is none.

return {flagged_of(ARGV[1]), call('HGET', P .. 'requests', ARGV[1]) or ''}
