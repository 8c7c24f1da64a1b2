-- Return batches of events. ARGV: clock offset; microseconds for which the call counts as listening, or -1; the number of
-- the batch behind which to begin, or -1 for none; the number of batches; and the instance to notify, or ''. Answers with
-- the state of the stream, then with numbers and batches.

even_when_full()
local now, hold, after, limit = clock(tonumber(ARGV[1])), tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4])
local s = stream()
if hold >= 0 then
    if s['until'] <= now then s.since = math.max(now, s.since + 1) end
    s['until'] = math.max(s['until'], now + hold)
    set_stream('until', whole(s['until']), 'since', whole(s.since))
end
local answer = {whole(s['until']), whole(s.since), whole(s.last), whole(s.size)}
if after < 0 or limit <= 0 then return answer end
if after > s.last then after = 0 end -- the store has lost its batches
local number, room = math.max(after + 1, s.first), MOST_BYTES
while number <= s.last and limit > 0 and room > 0 do
    local value = call('GET', P .. 'v:' .. whole(number))
    if value and #value >= 16 then
        answer[#answer + 1] = whole(number)
        answer[#answer + 1] = sub(value, 17)
        room = room - #value
        limit = limit - 1
    end
    number = number + 1
end
if #answer == 4 and ARGV[5] ~= '' then
    call('SADD', P .. 'events:awaited', ARGV[5])
    call('PEXPIRE', P .. 'events:awaited', 3000)
end
return answer
