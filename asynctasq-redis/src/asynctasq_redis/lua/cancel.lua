-- Cancel messages. ARGV: clock offset, ids. Answers for each with C (cancelled), R (requested),
-- T (too late) or U (unknown).

even_when_full()
local now = clock(tonumber(ARGV[1]))
local answers = {}
for i = 2, #ARGV do
    local id = ARGV[i]
    local known, state = is_known(id, now)
    if not known then
        answers[i - 1] = 'U'
    elseif state ~= WAITING then
        answers[i - 1] = 'T'
    else
        local lease = call('HGET', P .. 'leases', id)
        if lease then
            call('SADD', P .. 'c:' .. owner_and_queue(lease), id)
            answers[i - 1] = 'R'
        else
            local h = head(id)
            leave_waiting(id, h)
            cancel_for_good(id, h, h.ttl, now)
            answers[i - 1] = 'C'
        end
    end
end
return table.concat(answers)
