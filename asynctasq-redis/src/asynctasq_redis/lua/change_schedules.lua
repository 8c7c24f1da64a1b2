-- Change schedules. ARGV: clock offset, change, microseconds after which a schedule may be orphaned, ids. Returns
-- '1' or '0' for each.

even_when_full()
local now, orphaned_after = clock(tonumber(ARGV[1])), tonumber(ARGV[3])
local changes = {}

-- The id is removed at the end, so that a repeated call finishes the work with the same answer.
function changes.remove(id)
    call('DEL', P .. 'a:' .. id)
    call('ZREM', AT, id)
    call('ZREM', AN, id)
    return '1'
end

function changes.pause(id, s)
    s.flags = bor(s.flags, PAUSED)
    keep_schedule(id, s)
    return '1'
end

function changes.resume(id, s)
    local keep = band(s.flags, PAUSED) ~= 0 and keep_schedule or keep_claimed
    s.flags = band(s.flags, bnot(PAUSED))
    keep(id, s)
    return '1'
end

function changes.seen(id, s)
    local keep = band(s.flags, ORPHANED) ~= 0 and keep_schedule or keep_claimed
    s.flags = band(s.flags, bnot(ORPHANED))
    s.seen = now
    keep(id, s)
    return '1'
end

function changes.orphan(id, s, row)
    if row[4] == '' or s.seen > now - orphaned_after then return '0' end
    s.flags = bor(s.flags, ORPHANED)
    keep_schedule(id, s)
    return '1'
end

local change, answers = ARGV[2], {}
for at = 4, #ARGV do
    local id = ARGV[at]
    local row = schedule_row(id)
    local s = row and unpack_state(row[3])
    local answer = '0'
    if change == 'remove' then
        if row or call('ZSCORE', AN, id) then answer = changes.remove(id) end
    elseif s then
        answer = changes[change](id, s, row)
        write_schedules()
    elseif row and change ~= 'orphan' then
        answer = '1' -- a damaged schedule is known, and never due
    end
    answers[#answers + 1] = answer
end
return table.concat(answers)
