-- Store the progress of running messages. ARGV: ids, tokens and progress in turn.

even_when_full()
for i = 1, #ARGV, 3 do
    local id = ARGV[i]
    local record = call('HGET', P .. 'leases', id)
    local lease = read_lease(record)
    local h = lease and lease.token == tonumber(ARGV[i + 1]) and head(id)
    if h and h.state == WAITING and not h.damaged then
        if band(lease.flags, EXTRA) == 0 then
            local flags = string.char(lease.flags + EXTRA)
            call('HSET', P .. 'leases', id, sub(record, 1, 16) .. flags .. sub(record, 18))
            call('SETRANGE', P .. 'm:' .. id, 1, string.char(bor(h.flags, EXTRA)))
        end
        call('HSET', P .. 'x:' .. id, 'p', ARGV[i + 2])
    end
end
