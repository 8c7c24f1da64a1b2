-- Store how far running messages are. ARGV: ids, tokens and words in turn.

even_when_full()
for i = 1, #ARGV, 3 do
    local id = ARGV[i]
    local lease = call('HGET', P .. 'leases', id)
    if lease and unpack_from('>I4', lease) == tonumber(ARGV[i + 1]) then
        local flags = byte(lease, 13)
        if band(flags, EXTRA) == 0 then
            flags = string.char(flags + EXTRA)
            call('HSET', P .. 'leases', id, sub(lease, 1, 12) .. flags .. sub(lease, 14))
            call('SETRANGE', P .. 'm:' .. id, 1, flags)
        end
        call('HSET', P .. 'x:' .. id, 'p', ARGV[i + 2])
    end
end
